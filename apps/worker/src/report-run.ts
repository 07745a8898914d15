import { toTypeId } from '@millrace/database/ids'
import type { Aim } from '@millrace/hosts/host-watch'
import type { Claim } from '@millrace/lifecycle/claim'
import { counter, histogram } from '@millrace/process/metrics'
import type { Outcome } from '@millrace/providers/provider'
import { type RunReport, runPrediction } from './run-prediction.ts'
import type { ServedModel, Worker } from './worker.ts'

/** Runs one claim and says what happened in one line. Never rejects. */
export async function performAndReport(
  worker: Worker,
  claim: Claim,
  model: ServedModel,
  aim: Aim,
): Promise<void> {
  const started = performance.now()
  const about = {
    prediction: toTypeId('pred', claim.id),
    model: model.description.namespace,
    attempt: claim.attempt,
    crashes: claim.crashes,
    ...(model.description.namespace === claim.row.model ? {} : { served_by: model.description.namespace }),
  }
  const elapsed = () => Math.round(performance.now() - started) / 1000
  try {
    const report = await runPrediction(worker, claim, model, aim)
    const seconds = elapsed()
    worker.log.info({ ...about, ...lineOf(report), seconds }, 'run')
    runs.inc({ model: about.model, result: report.result })
    // What was stopped or could not be done tells nothing of how long a run holds its place.
    const { kind } = report.outcome
    if (kind === 'succeeded' || kind === 'failed') worker.runTimes.add(about.model, seconds)
    durations.observe({ model: about.model }, seconds)
  } catch (err) {
    // Its lease is renewed no more, so it is run again, and counted as a crash: that cannot go on for ever.
    worker.log.error({ ...about, err, seconds: elapsed() }, 'a run was left to its lease')
    runs.inc({ model: about.model, result: 'left' })
  }
}

function lineOf({ outcome, result, errorId }: RunReport): Record<string, unknown> {
  return {
    result,
    ...(errorId === undefined ? {} : { error_id: errorId }),
    outcome: outcome.kind,
    ...whyOf(outcome),
  }
}

function whyOf(outcome: Outcome): Record<string, unknown> {
  switch (outcome.kind) {
    case 'succeeded':
      return { predict_seconds: outcome.predictSeconds }
    case 'failed':
      return { detail: outcome.detail, ...(outcome.stack === undefined ? {} : { stack: outcome.stack }) }
    case 'unavailable':
      return { detail: outcome.reason }
    case 'crashed':
      return { detail: outcome.detail }
    case 'aborted':
      return {}
    default:
      return outcome satisfies never
  }
}

const runs = counter('millrace_runs_total', 'Runs that ended here, by what became of them.', [
  'model',
  'result',
])
const durations = histogram('millrace_run_seconds', 'From claim to settle.', ['model'])
