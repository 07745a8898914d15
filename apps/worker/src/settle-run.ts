import type { PredictionErrorId } from '@millrace/contract/errors'
import type { Status } from '@millrace/contract/statuses'
import { faultOf } from '@millrace/database/faults'
import { toTypeId } from '@millrace/database/ids'
import { sanitiseText } from '@millrace/database/sanitise'
import { maxAttempts } from '@millrace/lifecycle/lifecycle'
import { expiredText } from '@millrace/lifecycle/overdue'
import { type HandBack, handBack } from '@millrace/lifecycle/release'
import type { Ending } from '@millrace/lifecycle/settle'
import type { Outcome } from '@millrace/providers/provider'
import { isLost } from './lease.ts'
import { outlast } from './outlast.ts'
import { keepOutput, OutputError, StorageError } from './outputs.ts'
import { begin, insist, type Run } from './run.ts'
import type { Worker } from './worker.ts'

/** Spends an outcome: ends the prediction, gives the run back, or leaves it to whoever holds it now. */
export async function settleRun(worker: Worker, run: Run, outcome: Outcome): Promise<Settlement> {
  const { crashes } = run.claim
  switch (outcome.kind) {
    case 'succeeded':
      return succeed(worker, run, outcome.output)
    case 'failed':
      return fail(worker, run, outcome.code, outcome.detail)
    case 'unavailable':
      return tryLater(worker, run, outcome.reason, outcome.retryAfterSeconds)
    case 'crashed':
      if (crashes + 1 < maxAttempts) {
        return giveBack(worker, run, { crashed: true, delaySeconds: crashDelaySeconds * 4 ** crashes })
      }
      return fail(
        worker,
        run,
        'WORKER_LOST',
        `The model's process died under this prediction ${maxAttempts} times. The last time: ${outcome.detail}`,
      )
    case 'aborted':
      return settleAborted(worker, run)
    default:
      return outcome satisfies never
  }
}

function tryLater(worker: Worker, run: Run, reason: string, afterSeconds?: number): Promise<Settlement> {
  const { attempt } = run.claim
  if (attempt >= maxAttempts) return fail(worker, run, 'PROVIDER_UNAVAILABLE', reason)
  return giveBack(worker, run, { delaySeconds: afterSeconds ?? Math.min(60, 2 ** attempt) })
}

async function settleAborted(worker: Worker, run: Run): Promise<Settlement> {
  const { id, attempt, row } = run.claim
  const reason = run.hold.stopped()
  switch (reason) {
    case 'cancel':
      return end(worker, run, { verb: 'cancel', id, attempt })
    case 'start-timeout': {
      if (run.claim.expires) return fail(worker, run, 'EXPIRED', expiredText)
      const text = `The model was not ready within the ${row.timeouts.start} s this prediction had to start. Raise timeouts.start.`
      return fail(worker, run, 'START_TIMEOUT', text)
    }
    case 'run-timeout': {
      const text = `The run took longer than its limit of ${row.timeouts.run} s. Raise timeouts.run, or ask for less at once.`
      return fail(worker, run, 'RUN_TIMEOUT', text)
    }
    case 'lost':
      return { result: 'superseded' }
    case 'drain':
    case undefined:
      return giveBack(worker, run, {})
    default:
      return reason satisfies never
  }
}

async function succeed(worker: Worker, run: Run, raw: unknown): Promise<Settlement> {
  const { id, attempt } = run.claim
  try {
    await begin(worker, run)
    const kept = await keepOutput(worker, run, raw)
    return await end(worker, run, { verb: 'succeed', id, attempt, ...kept })
  } catch (error) {
    if (isLost(run.hold)) return { result: 'superseded' }
    if (error instanceof StorageError) {
      worker.log.error({ err: error, prediction: toTypeId('pred', id) }, 'an output could not be stored')
      return tryLater(worker, run, error.message)
    }
    if (error instanceof OutputError) return fail(worker, run, 'INVALID_OUTPUT', error.message)
    if (faultOf(error) !== 'bad-row') throw error
    return fail(worker, run, 'INVALID_OUTPUT', 'The database cannot hold what the model returned.')
  }
}

function fail(worker: Worker, run: Run, errorId: PredictionErrorId, text: string): Promise<Settlement> {
  const { id, attempt } = run.claim
  const error = sanitiseText(text.slice(0, maxErrorLength)) || 'The model failed and did not say why.'
  return end(worker, run, { verb: 'fail', id, attempt, error, errorId })
}

async function end(worker: Worker, run: Run, ending: Ending): Promise<Settlement> {
  const row = await insist(worker, run, () => worker.settling.add(ending))
  // Also when the fence no longer held: after a cut connection that may be this very ending.
  worker.queue.signal('changed', [ending.id])
  if (row?.owes ?? true) worker.queue.signal('due', [ending.id])
  if (!row) return { result: 'superseded' }
  return { result: row.status, ...(row.error_id === null ? {} : { errorId: row.error_id }) }
}

async function giveBack(worker: Worker, { claim, hold, model }: Run, how: HandBack): Promise<Settlement> {
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

/** What killed the process may pass, such as a shortage of memory; each crash waits four times as long. */
const crashDelaySeconds = 0.5

/** What became of a run: the prediction's status, or where the run went. */
export interface Settlement {
  result: Status | 'handed back' | 'superseded'
  errorId?: string
}
