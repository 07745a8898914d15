import { type Connection, type Query, together } from '@millrace/database/connect'
import type { Fence } from './claim.ts'

/**
 * How many of `wanted` more runs may begin where only so many may be under way at a time, whichever workers they are in.
 * Nobody else counts or takes these places until the transaction ends. Models that state no limit ask nothing.
 */
export async function roomIn(connection: Connection, places: Place[], wanted: number): Promise<number> {
  if (places.length === 0) return wanted
  const held = await holdPlaces(
    connection,
    places.map(({ name }) => name),
  )
  return Math.max(0, Math.min(wanted, ...places.map(({ name, limit }) => limit - (held.get(name) ?? 0))))
}

/** How many runs are under way at each of these places. Nobody else counts or takes them until the transaction ends. */
export async function holdPlaces(connection: Connection, unordered: string[]): Promise<Map<string, number>> {
  // In one order, so that two claims never wait for each other.
  const names = unordered.toSorted()
  // Sent together, and two statements all the same: the second sees what the first had to wait for.
  const [, { rows }] = await together([
    connection.query({ name: 'lock-places', text: lockStatement, values: [names] }),
    connection.query<{ name: string; held: number }>({
      name: 'count-places',
      text: countStatement,
      values: [names],
    }),
  ])
  return new Map(rows.map((row) => [row.name, row.held]))
}

/** Notes that these runs have begun, each at some places; nothing where there are none. */
export function placesQuery(taken: Taken[]): Query | undefined {
  const rows = taken.flatMap(({ id, attempt, names }) => names.map((name) => ({ name, id, attempt })))
  if (rows.length === 0) return undefined
  return { name: 'take-places', text: takeStatement, values: [JSON.stringify(rows)] }
}

const lockStatement = `select pg_advisory_xact_lock(hashtextextended('millrace place ' || name, 0)) from unnest($1::text[]) as name`

/** SQL: whether the run of a place is still under way; else it left the place behind. */
export const isUnderWay = (place: string): string => `exists (select from ${runOf(place)})`

const runOf = (place: string): string =>
  `runs r where r.prediction_id = ${place}.prediction_id and r.attempt = ${place}.attempt and r.worker is not null`

// Looked up one by one: an `exists` in its place is planned as a scan of all runs.
const countStatement = `
  with seen as materialized (
    select p.name, p.prediction_id, run.found is not null as under_way from places p left join lateral (
      select true as found from ${runOf('p')} limit 1
    ) run on true
    where p.name = any($1::text[])
  ), gone as (
    delete from places p using seen
    where not seen.under_way and p.name = seen.name and p.prediction_id = seen.prediction_id
  )
  select name, count(*)::integer as held from seen where under_way group by name`

const takeStatement = `
  insert into places (name, prediction_id, attempt)
  select i.name, i.id, i.attempt from json_to_recordset($1) as i(name text, id uuid, attempt integer)
  on conflict (name, prediction_id) do update set attempt = excluded.attempt`

/** A run that has begun at the places of these names. */
type Taken = Fence & { names: string[] }

/** Something that only so many runs may be under way at: a model, a host, an account or a key. */
export interface Place {
  name: string
  limit: number
}
