import type { PredictionErrorId } from '@millrace/contract/errors'
import type { Status } from '@millrace/contract/statuses'
import { sanitiseText } from '@millrace/database/sanitise'
import { type HandBack, handBack } from '@millrace/lifecycle/release'
import type { Ending } from '@millrace/lifecycle/settle'
import { outlast } from './outlast.ts'
import { insist, type Run } from './run.ts'
import type { Worker } from './worker.ts'

/** Ends it with what its client is to read. */
export function fail(
  worker: Worker,
  run: Run,
  errorId: PredictionErrorId,
  text: string,
): Promise<Settlement> {
  const { id, attempt } = run.claim
  const error = sanitiseText(text.slice(0, maxErrorLength)) || 'The model failed and did not say why.'
  return end(worker, run, { verb: 'fail', id, attempt, error, errorId })
}

/** It is over. */
export async function end(worker: Worker, run: Run, ending: Ending): Promise<Settlement> {
  const row = await insist(worker, run, () => worker.settling.add(ending))
  // Also when the fence no longer held: after a cut connection that may be this very ending.
  worker.queue.signal('changed', [ending.id])
  if (row?.owes ?? true) worker.queue.signal('due', [ending.id])
  if (!row) return { result: 'superseded' }
  return { result: row.status, ...(row.error_id === null ? {} : { errorId: row.error_id }) }
}

/** Somebody is to go on with it, now or later. */
export async function giveBack(
  worker: Worker,
  { claim, hold, model }: Run,
  how: HandBack,
): Promise<Settlement> {
  const { id, attempt } = claim
  await hold.end()
  const given = await outlast(worker.log, () =>
    handBack(worker.lifecycle.db, worker.config.name, [{ id, attempt }], how),
  )
  const { pool, namespace } = model.description
  const ring = () => worker.queue.ring(pool, namespace)
  if (how.delaySeconds === undefined) ring()
  // Should this process be gone by then, the sweeper rings.
  else setTimeout(ring, how.delaySeconds * 1000 + 10).unref()
  // Rung also when it was not ours to give: after a cut connection that may be this very hand-back.
  return { result: given === 0 ? 'superseded' : 'handed back' }
}

const maxErrorLength = 4_000

/** What became of a run: the prediction's status, or where the run went. */
export interface Settlement {
  result: Status | 'handed back' | 'passed on' | 'superseded'
  errorId?: string
}
