import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Claim } from '@millrace/lifecycle/claim'
import type { Outcome, RunEvent } from '@millrace/providers/provider'
import { createDeadline } from './deadline.ts'
import { InputError, prepareInput } from './inputs.ts'
import { isLost } from './lease.ts'
import { begin, type Run } from './run.ts'
import { type Settlement, settleRun } from './settle-run.ts'
import type { ServedModel, Worker } from './worker.ts'

/** claim -> run -> settle, from the claim on. Returns what happened, for the one log line of this run. */
export async function runPrediction(worker: Worker, claim: Claim, model: ServedModel): Promise<RunReport> {
  const workDir = join(worker.workFolder, `${claim.id}-${claim.attempt}`)
  const hold = worker.lease.hold(claim)
  const run: Run = {
    claim,
    model,
    hold,
    workDir,
    events: worker.events.open(claim),
    begun: claim.begun ? Promise.resolve() : undefined,
  }
  try {
    const outcome = await perform(worker, run)
    await run.events.flushed()
    const settlement = await settleRun(worker, run, outcome)
    return { outcome, ...settlement }
  } finally {
    await hold.end()
    // Most runs need no folder; to ask first costs a tenth of removing nothing.
    if (existsSync(workDir)) await rm(workDir, { recursive: true, force: true, maxRetries: 3 })
  }
}

async function perform(worker: Worker, run: Run): Promise<Outcome> {
  const { claim, model, hold, workDir } = run
  const { signal } = hold
  const deadline = createDeadline(claim, hold.stop)
  try {
    const { description } = model
    const input = await prepareInput(worker, {
      claim,
      description,
      workDir,
      signal,
      isLost: () => isLost(hold),
    })
    const emit = (event: RunEvent) => hear(worker, run, event, deadline.begin)
    const { id, attempt, crashes } = claim
    return await model.provider.run({
      id,
      attempt,
      input,
      workDir,
      // Whether it was the culprit or a neighbour shows when it is alone.
      isolated: crashes > 0,
      signal,
      emit,
    })
  } catch (error) {
    if (signal.aborted) return { kind: 'aborted' }
    if (error instanceof InputError) return { kind: 'failed', code: 'MODEL_ERROR', detail: error.message }
    worker.log.error({ err: error, prediction: claim.id }, 'a run could not be prepared')
    return { kind: 'unavailable', reason: 'The worker could not prepare the run' }
  } finally {
    deadline.clear()
  }
}

function hear(worker: Worker, run: Run, event: RunEvent, onBegin: () => void): void {
  switch (event.kind) {
    case 'ready':
      onBegin()
      run.events.holdUntil(begin(worker, run, event.coldBoot))
      break
    case 'output':
      // Files are shown when the output is whole: until it is kept there is no URL for them.
      if (typeof event.delta === 'string') run.events.output(event.delta)
      break
    case 'log':
      run.events.log(event.text)
      break
    case 'progress':
      run.events.progress(event.percent)
      break
    default:
      event satisfies never
  }
}

export type RunReport = Settlement & { outcome: Outcome }
