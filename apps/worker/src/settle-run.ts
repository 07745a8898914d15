import { faultOf } from '@millrace/database/faults'
import { toTypeId } from '@millrace/database/ids'
import { chargeAhead } from '@millrace/ledger/price'
import { maxAttempts, unknownOutcome } from '@millrace/lifecycle/lifecycle'
import { expiredText } from '@millrace/lifecycle/overdue'
import type { Outcome } from '@millrace/providers/provider'
import { usageOf } from './count-usage.ts'
import { isLost } from './lease.ts'
import { keepOutput, OutputError, StorageError } from './outputs.ts'
import { end, fail, giveBack, type Settlement } from './part-with-run.ts'
import { begin, type Run } from './run.ts'
import { settleUnavailable } from './settle-unavailable.ts'
import type { Worker } from './worker.ts'

/** Spends an outcome: ends the prediction, gives the run back, or leaves it to whoever holds it now. */
export async function settleRun(worker: Worker, run: Run, outcome: Outcome): Promise<Settlement> {
  const { crashes } = run.claim
  switch (outcome.kind) {
    case 'succeeded':
      return succeed(worker, run, outcome)
    case 'failed':
      return fail(worker, run, outcome.code, outcome.detail)
    case 'unavailable':
      return settleUnavailable(worker, run, outcome)
    case 'crashed':
      if (mayHaveBeenDone(run)) return fail(worker, run, 'WORKER_LOST', unknownOutcome)
      if (crashes + 1 < maxAttempts) {
        return giveBack(worker, run, {
          crashed: true,
          untouched: true,
          delaySeconds: crashDelaySeconds * 4 ** crashes,
        })
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

/**
 * The run of a model with effects outside, from its begin on. A host may have been told before it says that it begins.
 */
function mayHaveBeenDone({ model, begun, asked }: Run): boolean {
  const mayHaveBegun = begun !== undefined || (asked && model.host !== undefined)
  return model.description.rerun === 'never' && mayHaveBegun
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
      // Where a job was kept its host is still at work, and whoever has the run next takes it up.
      if (run.job === undefined && mayHaveBeenDone(run))
        return fail(worker, run, 'WORKER_LOST', unknownOutcome)
      return giveBack(worker, run, { untouched: run.job === undefined })
    default:
      return reason satisfies never
  }
}

async function succeed(worker: Worker, run: Run, outcome: Succeeded): Promise<Settlement> {
  const { id, attempt, price, row } = run.claim
  try {
    await begin(worker, run)
    const { output, files, counted } = await keepOutput(worker, run, outcome.output)
    const usage = await usageOf(run, outcome, counted)
    return await end(worker, run, {
      verb: 'succeed',
      id,
      attempt,
      output,
      files,
      ...(usage === undefined ? {} : { usage, charged: price && chargeAhead(price, usage, row.held) }),
    })
  } catch (error) {
    if (isLost(run.hold)) return { result: 'superseded' }
    if (error instanceof StorageError) {
      worker.log.error({ err: error, prediction: toTypeId('pred', id) }, 'an output could not be stored')
      return settleUnavailable(worker, run, {
        kind: 'unavailable',
        reason: error.message,
        uncertain: true,
        isOurs: true,
      })
    }
    if (error instanceof OutputError) return fail(worker, run, 'INVALID_OUTPUT', error.message)
    if (faultOf(error) !== 'bad-row') throw error
    return fail(worker, run, 'INVALID_OUTPUT', 'The database cannot hold what the model returned.')
  }
}

type Succeeded = Extract<Outcome, { kind: 'succeeded' }>

/** What killed the process may pass, such as a shortage of memory; each crash waits four times as long. */
const crashDelaySeconds = 0.5
