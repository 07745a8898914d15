import type { Outcome } from '@millrace/providers/provider'
import { fallBack } from './fallbacks.ts'
import { fail, giveBack, type Settlement } from './part-with-run.ts'
import type { Run } from './run.ts'
import type { Worker } from './worker.ts'

/**
 * The host did not serve: the run waits and is tried again, as often as its model says, and then each fallback is. A host
 * that has no room is waited for until the time to start is over. What a model with effects outside may have done
 * already ends here.
 */
export async function settleUnavailable(worker: Worker, run: Run, outcome: Unavailable): Promise<Settlement> {
  const { claim, model } = run
  const { description } = model
  const isOnce = description.rerun === 'never'
  const hasJob = run.job !== undefined && !outcome.jobIsOver
  const mayBeDone = isOnce && (outcome.uncertain === true || hasJob)
  if (mayBeDone && !hasJob) return fail(worker, run, 'PROVIDER_UNAVAILABLE', unknownText(outcome.reason))

  const back = { untouched: isOnce && !mayBeDone, jobIsOver: outcome.jobIsOver ?? false }
  if (outcome.busy && performance.now() < claim.startBy)
    return giveBack(worker, run, {
      ...back,
      delaySeconds: busyDelay(claim.attempt, outcome.retryAfterSeconds),
    })

  const mayPassOn = !mayBeDone && !outcome.isOurs
  const delaySeconds = retryDelay(claim.tries, outcome.retryAfterSeconds)
  if (claim.tries < description.retries) {
    // Whoever asks for so much patience is not waited for while somebody else can serve.
    const passed = mayPassOn && delaySeconds > longestWait ? await fallBack(worker, run) : undefined
    return passed ?? giveBack(worker, run, { ...back, tried: true, delaySeconds })
  }
  const passed = mayPassOn ? await fallBack(worker, run) : undefined
  return (
    passed ??
    fail(worker, run, 'PROVIDER_UNAVAILABLE', mayBeDone ? unknownText(outcome.reason) : outcome.reason)
  )
}

/** Its host is known to be away, so it was not even asked: that costs no try. */
export async function settleUnasked(worker: Worker, run: Run, secondsAway: number): Promise<Settlement> {
  // What its host may be at work for is waited for, not begun again elsewhere.
  const untouched = run.claim.job === undefined
  const passed = untouched ? await fallBack(worker, run) : undefined
  if (passed) return passed
  if (untouched && performance.now() >= run.claim.startBy) {
    return fail(
      worker,
      run,
      'PROVIDER_UNAVAILABLE',
      'The host of the model is away, and was for all the time it had.',
    )
  }
  return giveBack(worker, run, { untouched, delaySeconds: spread(secondsAway) })
}

function unknownText(reason: string): string {
  return `${reason.replace(/[.\s]*$/, '')}. Whether the model did its work is not known, and it is never run twice: look before you create the prediction again.`
}

/** Each try waits twice as long as the one before, and at least as long as the host asked for. */
function retryDelay(tries: number, asked: number | undefined): number {
  return asked === undefined ? spread(Math.min(longestWait, 2 ** (tries + 1))) : spreadAfter(asked)
}

function busyDelay(attempt: number, asked: number | undefined): number {
  return asked === undefined
    ? spread(Math.min(longestBusyWait, 2 ** Math.min(attempt, 10) / 2))
    : spreadAfter(asked)
}

/** So that runs which were refused together do not come back together. */
const spread = (seconds: number): number => seconds * (0.5 + Math.random() / 2)
const spreadAfter = (seconds: number): number => seconds * (1 + Math.random() / 10)

const longestWait = 60
const longestBusyWait = 10

type Unavailable = Extract<Outcome, { kind: 'unavailable' }> & {
  /** Nothing is wrong with the host: another one would not help. */
  isOurs?: boolean
}
