import type { Lifecycle } from '@millrace/lifecycle/lifecycle'
import { endOverdue } from '@millrace/lifecycle/overdue'
import type { SweepReport } from './sweep.ts'

/** Ends what ran out of time or workers, tells those who wait for it, and has its webhooks sent. */
export async function endLate(
  lifecycle: Lifecycle,
  { graceSeconds, changed }: EndLateOptions,
): Promise<SweepReport | undefined> {
  const ended = await endOverdue(lifecycle, graceSeconds)
  if (ended.length === 0) return undefined
  changed(ended)
  return { ended: ended.length }
}

interface EndLateOptions {
  graceSeconds: number
  changed: (ids: string[]) => void
}
