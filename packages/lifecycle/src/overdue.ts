import type { PredictionErrorId } from '@millrace/contract/errors'
import { createBatcher } from '@millrace/database/batch'
import type { Database } from '@millrace/database/connect'
import { faultOf } from '@millrace/database/faults'
import { findLimited, limitText } from './caps.ts'
import { type Lifecycle, maxAttempts, unknownOutcome } from './lifecycle.ts'
import type { MovedRow } from './outbox.ts'
import type { Place } from './places.ts'
import { alwaysThere, isPresent, type Presence } from './presence.ts'
import { type Ending, settle } from './settle.ts'
import { findUnserved } from './workers.ts'

/**
 * Ends what nobody else will: runs past their time to start or to run, those that expired before they began, runs whose
 * cancellation the worker did not carry out within the grace, runs that lost too many workers or that nobody may run
 * again, runs that had begun and were not taken up again, and cancelled runs that nobody holds and no host works for.
 * Returns the ids it ended.
 *
 * A run's own time counts while a worker holds it: one that waits for another worker begins anew, and has its time to
 * start again to be taken up. No time limit ends
 * anything before the database has been there for a lease, in which a worker saves what it finished meanwhile; only
 * what nobody holds expires to the moment. What a host works for is left to a worker for the grace, which tells the host.
 */
export async function endOverdue(
  lifecycle: Lifecycle,
  graceSeconds: number,
  { leaseSeconds, presence: { since, asked } }: Judging = { leaseSeconds: 0, presence: alwaysThere },
): Promise<string[]> {
  const { rows } = await lifecycle.db.pool.query<OverdueRow>(statement, [
    graceSeconds,
    maxAttempts,
    leaseSeconds,
    since,
    asked,
  ])
  await note(lifecycle.db, freeStatement, idsOf(rows, 'free'))
  await note(lifecycle.db, dueStatement, idsOf(rows, 'due'))
  const ending = await endingsOf(lifecycle.db, rows)
  if (ending.length === 0) return []
  const batcher = createBatcher<Ending, MovedRow | undefined>({
    flush: (endings) => settle(lifecycle, endings),
    isPoison: (error) => faultOf(error) === 'bad-row',
  })
  const settled = await Promise.allSettled(ending.map((one) => batcher.add(one)))
  const failed = settled.find((one) => one.status === 'rejected' && faultOf(one.reason) !== 'bad-row')
  if (failed?.status === 'rejected') throw failed.reason
  return settled.flatMap((one) => (one.status === 'fulfilled' && one.value ? [one.value.id] : []))
}

const present = isPresent({ lease: '$3', since: '$4', asked: '$5' })

const idsOf = (rows: OverdueRow[], wanted: OverdueRow['why']): string[] =>
  rows.flatMap(({ id, why }) => (why === wanted ? [id] : []))

/** Who holds a row is just taking it up. */
async function note(db: Database, statement: string, ids: string[]): Promise<void> {
  if (ids.length > 0) await db.pool.query(statement, [ids])
}

// Since when a begun run is free. What gives it back need not say so, so neither can a former version have forgotten it.
const freeStatement = `
  with free as materialized (
    select prediction_id from runs where prediction_id = any($1::uuid[]) and worker is null and lease_until is null
    order by prediction_id for update skip locked
  )
  update runs r set lease_until = clock_timestamp() from free where r.prediction_id = free.prediction_id`

// It is too late for a try that was put off, and just right for a worker to have its job stopped.
const dueStatement = `
  with due as materialized (
    select prediction_id from runs where prediction_id = any($1::uuid[]) and worker is null
    order by prediction_id for update skip locked
  )
  update runs r set run_at = clock_timestamp() - interval '1 second' from due where r.prediction_id = due.prediction_id`

const leftToWorkers = `case when r.job is null then interval '0' else make_interval(secs => $1) end`

/** Twice as long as a host that fails is left alone before somebody looks again. */
const awaySeconds = 120

const statement = `
  select * from (
    select r.prediction_id as id, r.attempt, r.model, r.job is not null and r.worker is null as working,
      case
        when r.cancel_requested_at is not null
         and (r.worker is null and (r.job is null or r.crashes >= $2) or r.cancel_requested_at + make_interval(secs => $1) < clock_timestamp()) then 'cancel'
        when r.crashes >= $2 and r.worker is null then 'lost'
        when r.run_by is null and r.worker is null and r.job is not null and r.run_at > clock_timestamp()
         and least(r.start_by, r.expires_at) <= clock_timestamp() then 'due'
        when r.run_by is null and r.expires_at + ${leftToWorkers} <= clock_timestamp() and (r.worker is null or (${present})) then 'expired'
        when r.worker is null and not r.rerun and r.job is null then 'unknown'
        when r.worker is null and r.run_by is not null and r.lease_until is null then 'free'
        when not (${present}) then null
        when r.worker is not null and r.run_by + make_interval(secs => $1) < clock_timestamp() then 'run'
        when r.run_by is null and r.cancel_requested_at is null and r.start_by + ${leftToWorkers} < clock_timestamp() then 'start'
        -- It has begun, and nobody takes it up: nobody serves its model, or its host is away for all who do. Of one whose
        -- host was found away, or that was passed on for that, is known by now that it should not wait for long.
        when r.worker is null and r.start_by < clock_timestamp()
         and greatest(r.run_at, r.lease_until, to_timestamp($4)) < clock_timestamp() - make_interval(secs => case
               when r.tries > 0 or r.asked is not null then ${awaySeconds}
               else greatest(${awaySeconds}, (select (p.timeouts ->> 'start')::integer from predictions p where p.id = r.prediction_id)) end)
         then case when r.tries > 0 or r.asked is not null then 'away' else 'left' end
      end as why
    from runs r
  ) judged
  where why is not null order by id limit 500`

/**
 * The time that the database was away counts for nobody's start: what has not begun has as long again from when it is
 * back, or a lease if that is longer; but nothing lives on that has expired. Said twice, or by two processes, it comes to the same.
 */
export async function prolongStarts(
  { pool }: Database,
  { leaseSeconds, presence: { since, missed } }: Judging,
): Promise<number> {
  let prolonged = 0
  for (let batch = atOnce; batch === atOnce; prolonged += batch) {
    const { rowCount } = await pool.query(prolongStatement, [since + Math.max(missed, leaseSeconds), atOnce])
    batch = rowCount ?? 0
  }
  return prolonged
}

const atOnce = 5_000

// Who holds a row is just moving it.
const prolongStatement = `
  with short as materialized (
    select prediction_id from runs where run_by is null and start_by < least(to_timestamp($1::float8), expires_at)
    order by prediction_id limit $2
    for update skip locked
  )
  update runs r set start_by = least(to_timestamp($1::float8), r.expires_at) from short where r.prediction_id = short.prediction_id`

async function endingsOf(db: Database, rows: OverdueRow[]): Promise<Ending[]> {
  const waited = rows.flatMap(({ model, why }) => (mayBeUnserved(why) ? [model] : []))
  const unserved = new Set(waited.length > 0 ? await findUnserved(db, waited) : [])
  const limited = await findLimited(
    db,
    rows.flatMap(({ id, why }) => (why === 'start' || why === 'expired' ? [id] : [])),
  )
  return rows.flatMap(({ id, attempt, why, model, working }): Ending[] => {
    if (why === 'free' || why === 'due') return []
    if (why === 'cancel') return [{ verb: 'cancel', id, attempt }]
    const { errorId, error, unserved: otherwise } = reasons[why]
    const isUnserved = otherwise !== undefined && unserved.has(model)
    const text = isUnserved
      ? `No worker that serves "${model}" was there; ${otherwise}`
      : waitText(error, limited.get(id))
    return [{ verb: 'fail', id, attempt, errorId, error: working ? `${text} ${stillWorking}` : text }]
  })
}

/** Of what could not begin because its account, or its key, had as many under way as it may. */
function waitText(error: string, limit: Place | undefined): string {
  return limit ? `${limitText(limit)} ${error}` : error
}

const stillWorking = 'Its host was not told to stop, and may have done the work.'

/** Also said by a worker whose model was not ready by then. */
export const expiredText =
  'It had not begun within its expires_in. Give it more time, or try when the queue is shorter.'

const mayBeUnserved = (why: OverdueRow['why']): boolean =>
  why !== 'cancel' && why !== 'free' && why !== 'due' && reasons[why].unserved !== undefined

const reasons: Record<'lost' | 'unknown' | 'away' | 'left' | 'run' | 'expired' | 'start', Reason> = {
  lost: {
    errorId: 'WORKER_LOST',
    error: `The process that ran this prediction died ${maxAttempts} times. Check the model for crashes and memory use, then create it again.`,
  },
  unknown: {
    errorId: 'WORKER_LOST',
    error: unknownOutcome,
  },
  away: {
    errorId: 'PROVIDER_UNAVAILABLE',
    error: 'The host of the model did not come back in time. Create the prediction again later.',
    unserved: 'what had begun could not go on. Create the prediction again when there is one.',
  },
  left: {
    errorId: 'PROVIDER_UNAVAILABLE',
    error:
      'It had begun, its worker gave it back or was lost, and no other went on with it in time. Create the prediction again later.',
    unserved: 'what had begun could not go on. Create the prediction again when there is one.',
  },
  run: {
    errorId: 'RUN_TIMEOUT',
    error: 'The run took longer than its time limit. Raise timeouts.run, or ask for less in one prediction.',
  },
  expired: {
    errorId: 'EXPIRED',
    error: expiredText,
    unserved: 'it had not begun within its expires_in. Create the prediction again when there is one.',
  },
  start: {
    errorId: 'START_TIMEOUT',
    error:
      'No worker began this prediction within its time to start. Raise timeouts.start, or try when the queue is shorter.',
    unserved: 'it had not begun within its time to start. Create the prediction again when there is one.',
  },
}

interface Reason {
  errorId: PredictionErrorId
  error: string
  /** Said instead, after that no worker served its model. */
  unserved?: string
}

export interface Judging {
  leaseSeconds: number
  presence: Presence
}

interface OverdueRow {
  id: string
  attempt: number
  model: string
  /** Its host has a job for it, and nobody looks after that. */
  working: boolean
  /** `free` and `due` end nothing yet. */
  why: keyof typeof reasons | 'cancel' | 'free' | 'due'
}
