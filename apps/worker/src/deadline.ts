import type { Claim } from '@millrace/lifecycle/claim'
import type { StopReason } from './lease.ts'

/**
 * Stops a run that is out of time: until `begin` by what the database said is left of the prediction's time to start;
 * from then on by its time to run. Neither asks this machine for the time of day. A re-run has begun before, so nobody waits for its start but its own run limit.
 */
export function createDeadline({ row, startBy }: Claim, stop: (reason: StopReason) => void): Deadline {
  const isFirst = row.started_at === null
  const run = () => setTimeout(() => stop('run-timeout'), row.timeouts.run * 1000)
  let timer = isFirst ? setTimeout(() => stop('start-timeout'), startBy - performance.now()) : run()
  return {
    begin() {
      clearTimeout(timer)
      timer = run()
    },
    clear: () => clearTimeout(timer),
  }
}

export interface Deadline {
  /** The run begins: its own time counts from here. */
  begin(): void
  clear(): void
}
