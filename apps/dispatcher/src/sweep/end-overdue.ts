import type { Lifecycle } from '@millrace/lifecycle/lifecycle'
import { endOverdue } from '@millrace/lifecycle/overdue'
import type { Presence } from '@millrace/lifecycle/presence'
import type { SweepReport } from './sweep.ts'

/** Ends what ran out of time or workers, tells those who wait for it, and has its webhooks sent. */
export async function endLate(
  lifecycle: Lifecycle,
  { graceSeconds, leaseSeconds, changed }: EndLateOptions,
  presence: Presence,
): Promise<SweepReport | undefined> {
  const ended = await endOverdue(lifecycle, graceSeconds, { leaseSeconds, presence })
  if (ended.length === 0) return undefined
  changed(ended)
  return { ended: ended.length }
}

interface EndLateOptions {
  graceSeconds: number
  leaseSeconds: number
  changed: (ids: string[]) => void
}
