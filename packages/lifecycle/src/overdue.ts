import { createBatcher } from '@millrace/database/batch'
import { faultOf } from '@millrace/database/faults'
import { type Lifecycle, maxAttempts } from './lifecycle.ts'
import type { MovedRow } from './outbox.ts'
import { type Ending, settle } from './settle.ts'

/**
 * Ends what nobody else will: runs past their time to start or to run, runs whose cancellation the worker did not
 * carry out within the grace, runs that lost too many workers, and cancelled runs that nobody holds. Returns the ids
 * it ended.
 */
export async function endOverdue(lifecycle: Lifecycle, graceSeconds: number): Promise<string[]> {
  const { rows } = await lifecycle.db.pool.query<OverdueRow>(
    `select r.prediction_id as id, r.attempt,
       case
         when r.cancel_requested_at is not null
          and (r.worker is null or r.cancel_requested_at + make_interval(secs => $1) < clock_timestamp()) then 'cancel'
         when r.crashes >= $2 and r.worker is null then 'lost'
         when r.run_by + make_interval(secs => $1) < clock_timestamp() then 'run'
         when r.run_by is null and r.start_by < clock_timestamp() then 'start'
       end as why
     from runs r
     where (r.cancel_requested_at is not null
            and (r.worker is null or r.cancel_requested_at + make_interval(secs => $1) < clock_timestamp()))
        or (r.crashes >= $2 and r.worker is null)
        or r.run_by + make_interval(secs => $1) < clock_timestamp()
        or (r.run_by is null and r.start_by < clock_timestamp())
     order by r.prediction_id limit 500`,
    [graceSeconds, maxAttempts],
  )
  if (rows.length === 0) return []
  const batcher = createBatcher<Ending, MovedRow | undefined>({
    flush: (endings) => settle(lifecycle, endings),
    isPoison: (error) => faultOf(error) === 'bad-row',
  })
  const settled = await Promise.allSettled(rows.map((row) => batcher.add(endingOf(row))))
  const failed = settled.find((one) => one.status === 'rejected' && faultOf(one.reason) !== 'bad-row')
  if (failed?.status === 'rejected') throw failed.reason
  return settled.flatMap((one) => (one.status === 'fulfilled' && one.value ? [one.value.id] : []))
}

function endingOf({ id, attempt, why }: OverdueRow): Ending {
  return why === 'cancel' ? { verb: 'cancel', id, attempt } : { verb: 'fail', id, attempt, ...reasons[why] }
}

const reasons = {
  lost: {
    errorId: 'WORKER_LOST',
    error: `The process that ran this prediction died ${maxAttempts} times. Check the model for crashes and memory use, then create it again.`,
  },
  run: {
    errorId: 'RUN_TIMEOUT',
    error: 'The run took longer than its time limit. Raise timeouts.run, or ask for less in one prediction.',
  },
  start: {
    errorId: 'START_TIMEOUT',
    error:
      'No worker began this prediction within its time to start. Raise timeouts.start, or try when the queue is shorter.',
  },
} as const

interface OverdueRow {
  id: string
  attempt: number
  why: keyof typeof reasons | 'cancel'
}
