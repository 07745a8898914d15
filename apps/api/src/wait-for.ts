import { findPrediction } from '@millrace/lifecycle/find'
import type { PredictionRow } from '@millrace/lifecycle/present'
import type { Context } from './context.ts'

/**
 * Waits until a prediction is as wanted, `seconds` have passed, the client has gone or the server drains, and answers
 * with it as it stands then; undefined when it was deleted meanwhile.
 */
export async function waitFor(context: Context, wait: Wait): Promise<PredictionRow | undefined> {
  const { accountId, id, seconds, until, gone, isNew = false } = wait
  const over = AbortSignal.any([
    AbortSignal.timeout(seconds * 1000),
    context.draining.signal,
    ...(gone ? [gone] : []),
  ])
  let changed = !isNew
  let wake = () => {}
  const stop = context.changes.watch(id, () => {
    changed = true
    wake()
  })
  over.addEventListener('abort', () => wake(), { once: true })
  try {
    for (;;) {
      await new Promise<void>((resolve) => {
        wake = resolve
        if (changed || over.aborted) resolve()
      })
      changed = false
      const row = await findPrediction(context.db, accountId, id)
      if (!row || until(row) || over.aborted) return row
    }
  } finally {
    stop()
  }
}

export interface Wait {
  accountId: string
  id: string
  seconds: number
  until: (row: PredictionRow) => boolean
  gone?: AbortSignal | undefined
  /** It has just been created here, so that there is nothing to see before it changes. */
  isNew?: boolean
}
