import type { QueuePlace } from '@millrace/contract/prediction'
import { type Priority, priorities } from '@millrace/contract/priorities'
import type { Database } from '@millrace/database/connect'
import { limitsOf } from './caps.ts'
import { isFree } from './free-runs.ts'
import { maxAttempts } from './lifecycle.ts'
import { nobody } from './nobody.ts'
import { type Place, underWayAt } from './places.ts'
import { readRunTimes } from './run-times.ts'
import { share } from './turns.ts'
import { findWorkers } from './workers.ts'

/**
 * What waits and runs of a model, read once for everybody who asks: its cost does not grow with who asks, nor beyond
 * `mostCounted` with the length of the lines, nor beyond `mostLines` with their number.
 */
export async function readLine(db: Database, model: string): Promise<ModelLine> {
  const [{ rows }, runSeconds, serving] = await Promise.all([
    db.pool.query<LineRow>({
      name: 'read-line',
      text: statement,
      values: [model, mostCounted, maxAttempts, mostLines],
    }),
    readRunTimes(db, model),
    findWorkers(db, model),
  ])
  return {
    lines: rows.map((row) => ({ ...row, limits: row.limits ?? [] })),
    running: rows.reduce((sum, { running }) => sum + running, 0),
    // A worker of the previous version does not say that it is up.
    workers: new Set([...serving, ...rows.flatMap(({ workers }) => workers ?? [])]).size,
    runSeconds,
  }
}

/**
 * Where among what waits for its model a run stands: how many begin no later than it does, itself among them, when the
 * turns are shared as ./turns.ts and ./rotation.ts say. Its start is estimated from the mean of the run times, from how
 * many run at a time now, and from how many its account and key may have at a time.
 */
export function placeIn(line: ModelLine, waiting: Waiting, now: number): QueuePlace {
  const { priority, turn, account } = waiting
  const own = linesOf(line, priority).filter((other) => other.account === account)
  const rank = 1 + own.reduce((sum, row) => sum + countBefore(row, turn), 0)
  const counted = own.reduce((sum, row) => sum + row.waiting, 0)
  const among = rank + othersBefore(linesOf(line, priority), { account, rank, weight: own[0]?.weight ?? 1 })
  const position = priorities.reduce((sum, other) => {
    if (other === priority) return sum
    const turns = Math.floor((among * share[other]) / share[priority])
    return sum + Math.min(countOf(linesOf(line, other)), turns)
  }, among)
  const seconds = secondsUntil(line, { position, rank, limits: limitsIn(line, waiting) })
  const isCapped = own.some(isCut) && rank > counted
  return {
    position,
    ...(isCapped || linesOf(line, priority).length >= mostLines ? { position_capped: true as const } : {}),
    estimated_seconds: seconds,
    estimated_start_at: seconds === null ? null : new Date(now + seconds * 1000).toISOString(),
  }
}

/** The limit of its account or its key that a run waits for; undefined where its turn is all that it waits for. */
export function limitBefore(line: ModelLine, waiting: Waiting): Place | undefined {
  return limitsIn(line, waiting).find(({ limit, held }) => held >= limit)
}

/** How many wait, as far as it was counted. */
export function waitingIn({ lines }: ModelLine): { waiting: number; capped: boolean } {
  const capped = priorities.some((_, n) => lines.filter(({ priority }) => priority === n).length >= mostLines)
  return { waiting: countOf(lines), capped: capped || lines.some(isCut) }
}

/** Runs of each priority; where there are several lines, each is counted to its part of them. */
const mostCounted = 10_000

/** Of each priority. */
const mostLines = 200

const linesOf = ({ lines }: ModelLine, priority: Priority): KnownLine[] =>
  lines.filter((line) => line.priority === priorities.indexOf(priority))

const countOf = (lines: KnownLine[]): number => lines.reduce((sum, { waiting }) => sum + waiting, 0)

const isCut = ({ seen, most }: KnownLine): boolean => seen >= most

/** As of the last known place before it: those of the first hundred are known, every hundredth after them, and the last. */
function countBefore({ turns, places, waiting }: KnownLine, turn: number): number {
  const before = (turns ?? []).findLastIndex((other) => other < turn)
  if (before === -1) return 0
  return before === (turns?.length ?? 0) - 1 ? waiting : (places?.[before] ?? 0)
}

/** The turns of other accounts that come before the one of this `rank` of its account. */
function othersBefore(lines: KnownLine[], { account, rank, weight }: Rank): number {
  const others = Map.groupBy(
    lines.filter((line) => line.account !== account),
    (line) => line.account,
  )
  return [...others.values()].reduce((sum, own) => {
    const turns = Math.floor((rank * (own[0]?.weight ?? 1)) / weight)
    return sum + Math.min(countOf(own), turns)
  }, 0)
}

function limitsIn(line: ModelLine, { priority, account, lane }: Waiting): HeldPlace[] {
  const own = linesOf(line, priority).filter((other) => other.account === account)
  return (own.find((other) => other.lane === (lane ?? nobody)) ?? own[0])?.limits ?? []
}

function secondsUntil(
  { running, workers, runSeconds }: ModelLine,
  { position, rank, limits }: Before,
): number | null {
  if (runSeconds.length === 0 || workers === 0) return null
  const mean = runSeconds.reduce((sum, seconds) => sum + seconds, 0) / runSeconds.length
  // With nothing under way the first one starts at once.
  const byTurn = running === 0 ? (position - 1) * mean : (position * mean) / running
  const byLimits = limits.map(
    ({ limit, held }) => (Math.max(0, rank - Math.max(0, limit - held)) * mean) / limit,
  )
  const seconds = Math.max(byTurn, ...byLimits)
  return Number.isFinite(seconds) ? Math.round(seconds * 1000) / 1000 : null
}

// The lines are found by leaping from one to the next in the index. Runs that are held are at the front of their lines,
// since they were taken from there.
const statement = `
  with recursive walk as (
    select p.priority, '${nobody}'::uuid as account, '${nobody}'::uuid as lane, 0 as nth from unnest('{0,1,2}'::smallint[]) as p(priority)
    union all
    select w.priority, n.account_id, n.lane, w.nth + 1 from walk w, lateral (
      select r.account_id, r.lane from runs r
      where r.model = $1 and r.priority = w.priority and r.parked_until is null and (r.account_id, r.lane) > (w.account, w.lane)
      order by r.account_id, r.lane limit 1
    ) n where w.nth < $4
  ), known as materialized (
    select *, ceil($2::float8 / count(*) over (partition by priority))::integer as most from walk where nth > 0
  )
  select l.priority, l.account, l.lane, l.most, counted.*, coalesce(stated.weight, 1) as weight, (
    select json_agg(json_build_object('name', s.name, 'limit', s."limit", 'held', ${underWayAt('s.name')}))
    from json_to_recordset(stated.limits) as s(name text, "limit" integer)
  ) as limits
  from known l left join lateral (${limitsOf({ account: 'l.account', lane: 'l.lane', model: '$1::text' })}) stated on true, lateral (
    select count(*)::integer as seen, (count(*) filter (where free))::integer as waiting, count(worker)::integer as running,
      array_agg(distinct worker) filter (where worker is not null) as workers,
      array_agg(turn order by place) filter (where told) as turns, array_agg(place order by place) filter (where told) as places
    from (
      select *, free and (place <= 100 or place % 100 = 0 or place = count(*) filter (where free) over ()) as told
      from (
       select *, (count(*) filter (where free) over (order by turn, prediction_id))::integer as place
       from (
        select prediction_id, worker, extract(epoch from turn)::float8 as turn,
          ${isFree('$3')} and run_at <= clock_timestamp() as free
        from runs where model = $1 and runs.priority = l.priority and account_id = l.account and runs.lane = l.lane and parked_until is null
        order by runs.turn, prediction_id limit l.most
       ) front
      ) counted
    ) placed
  ) counted`

/** The state of a model's lines at a moment. */
export interface ModelLine {
  lines: KnownLine[]
  running: number
  workers: number
  /** The newest run times, in seconds. */
  runSeconds: number[]
}

/** What waits of one account and, where it has limits of its own, key in one priority. */
interface KnownLine {
  /** The index of it in `priorities`. */
  priority: number
  account: string
  lane: string
  weight: number
  limits: HeldPlace[]
  /** Rows that were looked at, */
  seen: number
  /** of so many at most. */
  most: number
  waiting: number
  running: number
  /** Turns of some that wait, in order, and the places they have. */
  turns: number[] | null
  places: number[] | null
}

type LineRow = Omit<KnownLine, 'limits'> & { limits: HeldPlace[] | null; workers: string[] | null }

/** With how many are under way there. */
type HeldPlace = Place & { held: number }

/** A run in line. `turn` is in seconds since 1970. */
export interface Waiting {
  priority: Priority
  account: string
  /** That of its run; that of no key unless it is known. */
  lane?: string | null | undefined
  turn: number
}

interface Rank {
  account: string
  rank: number
  weight: number
}

interface Before {
  position: number
  rank: number
  limits: HeldPlace[]
}
