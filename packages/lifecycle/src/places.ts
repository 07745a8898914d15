import type { Connection } from '@millrace/database/connect'
import type { Fence } from './claim.ts'

/**
 * How many of `wanted` more runs may begin where only so many may be under way at a time, whichever workers they are in.
 * Nobody else counts or takes these places until the transaction ends. Models that state no limit ask nothing.
 */
export async function roomIn(connection: Connection, places: Place[], wanted: number): Promise<number> {
  if (places.length === 0) return wanted
  // In one order, so that two claims never wait for each other.
  const names = places.map(({ name }) => name).toSorted()
  await connection.query({ name: 'lock-places', text: lockStatement, values: [names] })
  // A statement of its own: it sees what the lock had to wait for.
  const { rows } = await connection.query<{ name: string; held: number }>({
    name: 'count-places',
    text: countStatement,
    values: [names],
  })
  const held = new Map(rows.map((row) => [row.name, row.held]))
  return Math.max(0, Math.min(wanted, ...places.map(({ name, limit }) => limit - (held.get(name) ?? 0))))
}

/** These runs have begun there. */
export async function takePlaces(connection: Connection, places: Place[], fences: Fence[]): Promise<void> {
  if (places.length === 0 || fences.length === 0) return
  const names = places.map(({ name }) => name)
  const rows = fences.map(({ id, attempt }) => ({ id, attempt }))
  await connection.query({
    name: 'take-places',
    text: takeStatement,
    values: [names, JSON.stringify(rows)],
  })
}

const lockStatement = `select pg_advisory_xact_lock(hashtextextended('millrace place ' || name, 0)) from unnest($1::text[]) as name`

/** SQL: whether the run of a place is still under way; else it left the place behind. */
export const isUnderWay = (place: string): string =>
  `exists (select from runs r where r.prediction_id = ${place}.prediction_id and r.attempt = ${place}.attempt and r.worker is not null)`

const countStatement = `
  with gone as (
    delete from places p where p.name = any($1::text[]) and not ${isUnderWay('p')}
  )
  select p.name, count(*)::integer as held from places p
  where p.name = any($1::text[]) and ${isUnderWay('p')} group by p.name`

const takeStatement = `
  insert into places (name, prediction_id, attempt)
  select name, i.id, i.attempt from unnest($1::text[]) as name, json_to_recordset($2) as i(id uuid, attempt integer)
  on conflict (name, prediction_id) do update set attempt = excluded.attempt`

/** Something that only so many runs may be under way at: a model or a host. */
export interface Place {
  name: string
  limit: number
}
