import type { QueuePlace } from '@millrace/contract/prediction'
import { type Priority, priorities } from '@millrace/contract/priorities'
import type { Database } from '@millrace/database/connect'
import { isFree } from './free-runs.ts'
import { maxAttempts } from './lifecycle.ts'
import { readRunTimes } from './run-times.ts'
import { share } from './turns.ts'
import { findWorkers } from './workers.ts'

/**
 * What waits and runs of a model, read once for everybody who asks: its cost does not grow with who asks, nor beyond
 * `mostCounted` with the length of the lines.
 */
export async function readLine(db: Database, model: string): Promise<ModelLine> {
  const [{ rows }, runSeconds, serving] = await Promise.all([
    db.pool.query<LaneRow>({ name: 'read-line', text: statement, values: [model, mostCounted, maxAttempts] }),
    readRunTimes(db, model),
    findWorkers(db, model),
  ])
  return {
    lanes: priorities.map((_, n) => rows.find(({ priority }) => priority === n) ?? emptyLane(n)),
    running: rows.reduce((sum, { running }) => sum + running, 0),
    // A worker of the previous version does not say that it is up.
    workers: new Set([...serving, ...rows.flatMap(({ workers }) => workers ?? [])]).size,
    runSeconds,
  }
}

/**
 * Where in its model's line a run stands: how many begin no later than it does, itself among them, when the turns are
 * shared as ./turns.ts says. Its start is estimated from the mean of the run times and from how many run at a time now.
 */
export function placeIn(line: ModelLine, { priority, turn }: Waiting, now: number): QueuePlace {
  const own = line.lanes[priorities.indexOf(priority)] ?? emptyLane(1)
  const rank = rankOf(own, turn)
  const others = priorities.map((other, n) => {
    const turns = Math.floor((rank * share[other]) / share[priority])
    return other === priority ? 0 : Math.min(line.lanes[n]?.waiting ?? 0, turns)
  })
  const position = rank + others.reduce((sum, count) => sum + count, 0)
  const seconds = secondsUntil(line, position)
  return {
    position,
    ...(own.seen >= mostCounted && rank > own.waiting ? { position_capped: true as const } : {}),
    estimated_seconds: seconds,
    estimated_start_at: seconds === null ? null : new Date(now + seconds * 1000).toISOString(),
  }
}

/** How many wait, as far as it was counted. */
export function waitingIn({ lanes }: ModelLine): { waiting: number; capped: boolean } {
  return {
    waiting: lanes.reduce((sum, { waiting }) => sum + waiting, 0),
    capped: lanes.some(({ seen }) => seen >= mostCounted),
  }
}

/** Of each priority. */
const mostCounted = 10_000

/** From the last known place before it: those of the first hundred are known, every hundredth after them, and the last. */
function rankOf({ turns, places, waiting }: LaneRow, turn: number): number {
  const before = (turns ?? []).findLastIndex((other) => other < turn)
  if (before === -1) return 1
  const last = before === (turns?.length ?? 0) - 1
  return 1 + (last ? waiting : (places?.[before] ?? 0))
}

function secondsUntil({ running, workers, runSeconds }: ModelLine, position: number): number | null {
  if (runSeconds.length === 0 || workers === 0) return null
  const mean = runSeconds.reduce((sum, seconds) => sum + seconds, 0) / runSeconds.length
  // With nothing under way the first one starts at once.
  const seconds = running === 0 ? (position - 1) * mean : (position * mean) / running
  return Math.round(seconds * 1000) / 1000
}

const emptyLane = (priority: number): LaneRow => ({
  priority,
  seen: 0,
  waiting: 0,
  running: 0,
  workers: null,
  turns: null,
  places: null,
})

// Runs that are held are at the front of their lines, since they were taken from there.
const statement = `
  select l.priority, counted.* from unnest('{0,1,2}'::smallint[]) as l(priority), lateral (
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
        from runs where model = $1 and runs.priority = l.priority and parked_until is null
        order by runs.turn, prediction_id limit $2
       ) front
      ) counted
    ) placed
  ) counted`

/** The state of a model's lines at a moment. */
export interface ModelLine {
  /** In the order of `priorities`. */
  lanes: LaneRow[]
  running: number
  workers: number
  /** The newest run times, in seconds. */
  runSeconds: number[]
}

interface LaneRow {
  priority: number
  /** Rows that were looked at. */
  seen: number
  waiting: number
  running: number
  workers: string[] | null
  /** Turns of some that wait, in order, and the places they have. */
  turns: number[] | null
  places: number[] | null
}

/** A run in line. `turn` is in seconds since 1970. */
export interface Waiting {
  priority: Priority
  turn: number
}
