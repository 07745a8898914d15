import { type Connection, type Query, together } from '@millrace/database/connect'
import type { Fence } from './claim.ts'

/**
 * How many of `wanted` more runs may begin where only so many may be under way at a time, whichever workers they are in.
 * Nobody else counts or takes these places until the transaction ends. Models that state no limit ask nothing.
 */
export async function roomIn(connection: Connection, places: Place[], wanted: number): Promise<number> {
  if (places.length === 0) return wanted
  const held = await holdPlaces(connection, places)
  return Math.max(0, Math.min(wanted, ...places.map(({ name, limit }) => limit - (held.get(name) ?? 0))))
}

/**
 * How many runs are under way at each of these places; where its limit is far, some that are over may count as well.
 * Nobody else counts or takes them until the transaction ends.
 */
export async function holdPlaces(connection: Connection, places: Place[]): Promise<Map<string, number>> {
  // In one order, so that two claims never wait for each other.
  const names = places.map(({ name }) => name).toSorted()
  // Sent together, and two statements all the same: the second sees what the first had to wait for.
  const [, { rows }] = await together([
    connection.query({ name: 'lock-places', text: lockStatement, values: [names] }),
    connection.query<{ name: string; held: number }>({
      name: 'count-places',
      text: countStatement,
      values: [JSON.stringify(places), farRoom, closely],
    }),
  ])
  return new Map(rows.map((row) => [row.name, row.held]))
}

/** Notes that these runs have begun, each at some places; nothing where there are none. */
export function placesQuery(taken: Taken[]): Query | undefined {
  const names = new Set(taken.flatMap((run) => run.names))
  if (names.size === 0) return undefined
  const rows = [...names].map((name) => {
    const runs = taken.filter((run) => run.names.includes(name))
    return { name, ids: runs.map(({ id }) => id), attempts: runs.map(({ attempt }) => attempt) }
  })
  return { name: 'take-places', text: takeStatement, values: [JSON.stringify(rows)] }
}

const lockStatement = `select pg_advisory_xact_lock(hashtextextended('millrace place ' || name, 0)) from unnest($1::text[]) as name`

/** SQL: how many were taken at a place, some of which may be over. */
export const takenAt = (name: string): string =>
  `(select coalesce(sum(cardinality(t.ids)), 0)::integer from places_taken t where t.name = ${name})`

/** SQL: how many of them are under way. */
export const underWayAt = (name: string): string =>
  `(select count(*)::integer from places_taken t, ${stillOf('t')} where t.name = ${name})`

/** SQL: from which claims nothing is under way any more. */
export const isOver = (taken: string): string => `not exists (select from ${stillOf(taken)})`

// Looked up one by one: an `exists` in its place is planned as a scan of all runs.
const stillOf = (taken: string): string =>
  `unnest(${taken}.ids, ${taken}.attempts) as still(id, attempt), lateral (
    select from runs r where r.prediction_id = still.id and r.attempt = still.attempt and r.worker is not null limit 1
  ) run`

// Each run is looked up where it may matter, as `isNear` says.
const countStatement = `
  with asked as materialized (
    select a.name, taken.count, a."limit" - taken.count < greatest(a."limit" / 2.0, $2::integer) or random() < $3::float8 as matters
    from json_to_recordset($1) as a(name text, "limit" integer), lateral (select ${takenAt('a.name')} as count offset 0) taken
  ), seen as materialized (
    select taken.name, taken.claim, under_way.ids, under_way.attempts, coalesce(cardinality(under_way.ids), 0) as count,
      cardinality(taken.ids) as before
    from asked, lateral (select * from places_taken where name = asked.name offset 0) taken, lateral (
      select array_agg(still.id) as ids, array_agg(still.attempt) as attempts from ${stillOf('taken')}
    ) under_way
    where asked.matters
  ), gone as (
    delete from places_taken taken using seen where seen.count = 0 and taken.name = seen.name and taken.claim = seen.claim
  ), fewer as (
    update places_taken taken set ids = seen.ids, attempts = seen.attempts from seen
    where seen.count between 1 and seen.before - 1 and taken.name = seen.name and taken.claim = seen.claim
  )
  select name, sum(count)::integer as held from seen group by name
  union all
  select name, count as held from asked where not matters`

/** Whether so much room is so little that others may wait for it before long. */
export const isNear = (room: number, { limit }: Place): boolean => room < Math.max(limit / 2, farRoom)

/** With room for so many more, a limit is far. */
const farRoom = 1_000

/** One in so many claims looks at each run all the same, so that little is left behind. */
const closely = 0.1

const takeStatement = `
  insert into places_taken (name, ids, attempts)
  select i.name, i.ids, i.attempts from json_to_recordset($1) as i(name text, ids uuid[], attempts integer[])`

/** A run that has begun at the places of these names. */
type Taken = Fence & { names: string[] }

/** Something that only so many runs may be under way at: a model, a host, an account or a key. */
export interface Place {
  name: string
  limit: number
}
