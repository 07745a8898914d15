import type { Claim } from '@millrace/lifecycle/claim'
import type { RunEvents } from './event-buffer.ts'
import type { Hold } from './lease.ts'
import type { ServedModel, Worker } from './worker.ts'

/** One attempt at one prediction, from its claim to its end. */
export interface Run {
  claim: Claim
  model: ServedModel
  hold: Hold
  events: RunEvents
  /** Removed with everything in it when the run is over. */
  workDir: string
  begun: Promise<void> | undefined
}

/** The model is ready: starting becomes processing. Once per attempt, however often it is called. */
export function begin({ beginning, queue }: Worker, run: Run): Promise<void> {
  const { id, attempt } = run.claim
  run.begun ??= beginning.add({ id, attempt }).then((row) => {
    if (!row) run.hold.stop('lost')
    queue.signal('changed', [id])
    queue.signal('due', [id])
  })
  return run.begun
}
