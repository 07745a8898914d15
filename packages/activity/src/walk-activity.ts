import { databaseNow } from '@millrace/database/clock'
import type { Database } from '@millrace/database/connect'
import { idFloor, timeOfId } from '@millrace/database/ids'
import { highestId, lowestId } from '@millrace/database/page'
import { sql } from 'kysely'
import { type ActivityFilter, type Source, sourcesOf } from './activity-sources.ts'

/**
 * The ids that a filter finds, from one id on, older ones first or newer ones. All sources are gone through at the same
 * pace, and only so far: where next to nothing fits, fewer than `limit` are found, and `reached` tells how far it came.
 */
export async function walkActivity(
  db: Database,
  filter: ActivityFilter,
  { after, before, limit, most = mostSeen }: Walk,
): Promise<Walked> {
  const upwards = before !== undefined
  const walkers = sourcesOf(filter).map(
    (source): Walker => ({
      source,
      at: before ?? after ?? (upwards ? lowestId : highestId),
      found: [],
      far: false,
      over: false,
    }),
  )
  let seen = 0
  for (let step = limit; ; step = Math.min(step * 8, largestStep)) {
    const going = walkers.filter(({ over, found }) => !over && found.length < limit)
    if (going.length === 0 || seen >= most) break
    // One after the other: what was deleted between two looks is found by the later one.
    for (const walker of going) seen += await take(db, walker, { upwards, step, limit })
  }
  return merged(walkers, upwards, limit)
}

/** How many a filter finds among the newest of each source, and whether there may be more. */
export async function countActivity(
  db: Database,
  filter: ActivityFilter,
  most: number,
): Promise<{ total: number; capped: boolean }> {
  const counts = await Promise.all(
    sourcesOf(filter).map(async (source) => {
      const { above: low = lowestId, below: high = highestId } = source
      const { rows } = await sql<{ seen: number; kept: number }>`
        with ${seenOf(source, { low, high, step: most + 1 })}
        select (select count(*) from seen)::integer as seen, (select count(*) from seen where ${source.keeps(between(low, high))})::integer as kept
      `.execute(db.kysely)
      return rows[0] ?? { seen: 0, kept: 0 }
    }),
  )
  const total = counts.reduce((sum, { kept }) => sum + kept, 0)
  return { total: Math.min(total, most), capped: total > most || counts.some(({ seen }) => seen > most) }
}

async function take(db: Database, walker: Walker, { upwards, step, limit }: Step): Promise<number> {
  const { source, found } = walker
  const { low, high, last } = windowOf(walker, upwards)
  const order = sql.raw(upwards ? 'asc' : 'desc')
  const { rows } = await sql<{ seen: number; edge: string | null; ids: string[] }>`
    with ${seenOf(source, { low, high, step, upwards })}
    select (select count(*) from seen)::integer as seen,
      (select id from seen order by id ${sql.raw(upwards ? 'desc' : 'asc')} limit 1) as edge,
      array(select id from seen where ${source.keeps(between(low, high))} order by id ${order} limit ${limit - found.length}) as ids
  `.execute(db.kysely)
  const { seen, edge, ids } = rows[0] ?? { seen: 0, edge: null, ids: [] }
  found.push(...ids)
  const whole = seen < step
  walker.over = whole && last
  if (whole) walker.at = upwards ? high : low
  else walker.at = edge ?? walker.at
  walker.far ||= whole
  // It may have seen more than it was to find.
  if (found.length >= limit) {
    walker.at = found.at(-1) ?? walker.at
    walker.over = false
  }
  return seen
}

/** First what is near, which is in few partitions; then all there is. `last`: there is nothing beyond it. */
function windowOf(
  { source, at, far }: Walker,
  upwards: boolean,
): { low: string; high: string; last: boolean } {
  const { above = lowestId, below = highestId } = source
  const low = upwards && at > above ? at : above
  const high = !upwards && at < below ? at : below
  if (far) return { low, high, last: true }
  const now = databaseNow()
  if (upwards) {
    const edge = timeOfId(low) + nearMs
    return edge >= Math.min(timeOfId(high), now)
      ? { low, high, last: true }
      : { low, high: idFloor(edge), last: false }
  }
  const edge = Math.min(timeOfId(high), now) - nearMs
  return edge <= timeOfId(low) ? { low, high, last: true } : { low: idFloor(edge), high, last: false }
}

const nearMs = 30 * 86_400_000

const between = (low: string, high: string) => sql`p.id > ${low}::uuid and p.id < ${high}::uuid`

function seenOf({ ids }: Source, { low, high, step, upwards = false }: Seen) {
  return sql`seen as materialized (
    select id from (${ids}) as d where id > ${low}::uuid and id < ${high}::uuid
    order by id ${sql.raw(upwards ? 'asc' : 'desc')} limit ${step})`
}

/** What every source has come as far as, in order. */
function merged(walkers: Walker[], upwards: boolean, limit: number): Walked {
  const isBefore = (a: string, b: string) => (upwards ? a < b : a > b)
  const going = walkers.filter(({ over }) => !over).map(({ at }) => at)
  const reached = going.reduce<string | undefined>(
    (nearest, at) => (nearest === undefined || isBefore(at, nearest) ? at : nearest),
    undefined,
  )
  const kinds = new Map(walkers.flatMap(({ source, found }) => found.map((id) => [id, source.kind] as const)))
  const all = [...kinds]
    .map(([id, kind]) => ({ id, kind }))
    .filter(({ id }) => reached === undefined || !isBefore(reached, id))
    .sort((a, b) => (isBefore(a.id, b.id) ? -1 : 1))
  return { found: all.slice(0, limit), reached: all.length > limit ? all[limit - 1]?.id : reached }
}

/** Rows that one walk looks at in all. */
const mostSeen = 50_000
const largestStep = 10_000

export interface Walk {
  /** Older than this id; from the newest where neither is given. */
  after?: string | undefined
  /** Newer than this one, nearest first. */
  before?: string | undefined
  limit: number
  /** Rows to look at. */
  most?: number
}

export interface Walked {
  /** In the order of the walk. */
  found: { id: string; kind: Source['kind'] }[]
  /** From where there may be more; undefined at the end. */
  reached: string | undefined
}

interface Step {
  upwards: boolean
  step: number
  limit: number
}

interface Seen {
  low: string
  high: string
  step: number
  upwards?: boolean
}

interface Walker {
  source: Source
  /** It has looked as far as this id. */
  at: string
  found: string[]
  /** What is near has been looked through. */
  far: boolean
  /** There is nothing beyond. */
  over: boolean
}
