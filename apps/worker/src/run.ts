import { faultOf } from '@millrace/database/faults'
import type { KeptJob } from '@millrace/database/tables'
import type { Aim } from '@millrace/hosts/host-watch'
import type { InferenceRun } from '@millrace/inference/inference-run'
import type { Usage } from '@millrace/ledger/price'
import type { Claim } from '@millrace/lifecycle/claim'
import type { RunEvents } from './event-buffer.ts'
import type { Hold } from './lease.ts'
import { outlast } from './outlast.ts'
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
  /** What the host of this model has under way for it. */
  job: KeptJob | undefined
  aim: Aim
  /** Its provider was asked. */
  asked: boolean
  /** What its model or its host told of how much was used. */
  used: Usage
  /** It is answered by inference, and not by its model's provider. */
  inference: InferenceRun | undefined
}

/** The model is ready: starting becomes processing. Once per attempt, however often it is called. */
export function begin(worker: Worker, run: Run, coldBoot?: boolean): Promise<void> {
  const { beginning, queue } = worker
  const { id, attempt } = run.claim
  run.begun ??= insist(worker, run, () => beginning.add({ id, attempt, coldBoot })).then((row) => {
    if (!row) run.hold.stop('lost')
    queue.signal('changed', [id])
    if (row?.owes ?? true) queue.signal('due', [id])
  })
  return run.begun
}

/**
 * Saves what a run came to, a step that `work` adds to a batch. The batch waits by itself until the database answers;
 * what is refused for any other reason is repeated run by run, since only a bad row stays bad: somebody may grant the
 * permission or mend the index while the model's work is still here. The lease is held meanwhile. A run that was told
 * to stop has nothing to keep, so that its slot is soon free.
 */
export async function insist<T>({ log }: Worker, { hold }: Run, work: () => Promise<T>): Promise<T> {
  return outlast(
    log,
    work,
    () => hold.stopped() !== undefined,
    (error) => faultOf(error) !== 'bad-row',
  )
}
