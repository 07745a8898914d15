import type { Lifecycle } from './lifecycle.ts'
import { settle } from './settle.ts'

/**
 * Asks that a prediction stop. What no worker holds is cancelled here and now (`settled`); for the rest a durable flag
 * is set that its worker sees at the next renewal at the latest (`asked`; the caller broadcasts as well). So it is for
 * one whose host may still be at work for it: the next worker takes the job up and has it stopped. `ended` when there
 * was nothing left to stop.
 */
export async function requestCancel(
  lifecycle: Lifecycle,
  id: string,
): Promise<'settled' | 'asked' | 'ended'> {
  for (;;) {
    const { rows } = await lifecycle.db.pool.query<{ attempt: number; held: boolean }>({
      name: 'request-cancel',
      text: statement,
      values: [id],
    })
    const run = rows[0]
    if (run === undefined) return 'ended'
    if (run.held) return 'asked'
    const [settled] = await settle(lifecycle, [{ verb: 'cancel', id, attempt: run.attempt }])
    if (settled) return 'settled'
    // Claimed or ended in between: look again. Each turn means somebody else made progress, so this ends.
  }
}

const statement = `
  with flagged as (
    update runs
    set cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()),
        -- Late enough for the sweep to ring for it at once.
        run_at = case when worker is null and job is not null
                      then least(run_at, clock_timestamp() - interval '1 second') else run_at end
    where prediction_id = $1
    returning prediction_id, attempt, worker is not null or job is not null as held, cancel_requested_at
  ), shown as (
    update predictions p set cancel_requested_at = flagged.cancel_requested_at,
                             updated_at = greatest(clock_timestamp(), p.updated_at)
    from flagged where p.id = $1 and p.cancel_requested_at is null
  )
  select attempt, held from flagged`
