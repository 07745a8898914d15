import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Aim } from '@millrace/hosts/host-watch'
import { inferenceRunOf } from '@millrace/inference/inference-run'
import { readUsage } from '@millrace/ledger/read-usage'
import type { Claim } from '@millrace/lifecycle/claim'
import type { Outcome, RunEvent } from '@millrace/providers/provider'
import { createDeadline } from './deadline.ts'
import { InputError, prepareInput } from './inputs.ts'
import { isJobHere, isOrphan, keepJob } from './kept-jobs.ts'
import { isLost } from './lease.ts'
import type { Settlement } from './part-with-run.ts'
import { begin, type Run } from './run.ts'
import { settleRun } from './settle-run.ts'
import { settleUnasked } from './settle-unavailable.ts'
import type { ServedModel, Worker } from './worker.ts'

/** claim -> run -> settle, from the claim on. Returns what happened, for the one log line of this run. */
export async function runPrediction(
  worker: Worker,
  claim: Claim,
  model: ServedModel,
  aim: Aim = 'well',
): Promise<RunReport> {
  const workDir = join(worker.workFolder, `${claim.id}-${claim.attempt}`)
  const hold = worker.lease.hold(claim)
  const run: Run = {
    claim,
    model,
    hold,
    workDir,
    events: worker.events.open(claim),
    begun: claim.begun ? Promise.resolve() : undefined,
    job: isJobHere(claim, model) ? claim.job : undefined,
    aim,
    asked: false,
    used: {},
    inference: inferenceRunOf(claim.row.tags),
  }
  try {
    if (run.inference) await leaveHost(worker, run)
    if (run.aim === 'away' && model.host !== undefined && whyOver(claim) === undefined) {
      const settlement = await settleUnasked(worker, run, worker.hosts.secondsAway(model.host))
      return { outcome: { kind: 'unavailable', reason: 'Its host is away' }, ...settlement }
    }
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
  const over = whyOver(claim)
  const deadline = over ? undefined : createDeadline(claim, hold.stop)
  try {
    if (over && !run.job) hold.stop(over)
    // Whoever cancelled it asks for nothing more: nobody is left to ask of it.
    if (isOrphan(run) && over !== 'cancel')
      return { kind: 'unavailable', reason: 'Its job was left at another host', uncertain: true }
    // Of what is only to be stopped the input is not brought.
    const input =
      over || run.inference
        ? claim.row.input
        : await prepareInput(worker, { claim, model, workDir, signal, isLost: () => isLost(hold) })
    if (signal.aborted) return { kind: 'aborted' }
    const emit = (event: RunEvent) => {
      if (!over || event.kind !== 'ready') hear(worker, run, event, () => deadline?.begin())
    }
    const { id, attempt, crashes } = claim
    const began = performance.now()
    run.asked = true
    if (run.inference) return await worker.inference.run(run.inference, { claim, model, signal, emit })
    const running = model.provider.run({
      id,
      attempt,
      input,
      workDir,
      // Whether it was the culprit or a neighbour shows when it is alone.
      isolated: crashes > 0,
      signal,
      job: run.job?.job,
      keep: (job) => keepJob(worker, run, job),
      callback: worker.callbacks?.callbackFor(claim),
      emit,
    })
    // Told only once the job is taken up, as of any other, so that the host hears of it.
    if (over) setImmediate(() => hold.stop(over))
    const outcome = await running
    await worker.hosts.heard(model.host, outcome, { began, aim: run.aim })
    return outcome
  } catch (error) {
    if (signal.aborted) return { kind: 'aborted' }
    if (error instanceof InputError) return { kind: 'failed', code: 'MODEL_ERROR', detail: error.message }
    worker.log.error({ err: error, prediction: claim.id }, 'a run could not be prepared')
    return { kind: 'unavailable', reason: 'The worker could not prepare the run' }
  } finally {
    if (!run.asked && run.aim === 'probe' && model.host !== undefined) await worker.hosts.spare(model.host)
    deadline?.clear()
  }
}

/** Hosts are chosen anew for each inference, which asks and tells the breaker by itself. */
async function leaveHost({ hosts }: Worker, run: Run): Promise<void> {
  const { host } = run.model
  if (run.aim === 'probe' && host !== undefined) await hosts.spare(host)
  run.aim = 'well'
}

/** Why a claim is only to be stopped: its prediction was cancelled, or is too late to begin, while a host works for it. */
function whyOver({ row, startBy }: Claim): 'cancel' | 'start-timeout' | undefined {
  if (row.cancel_requested_at !== null) return 'cancel'
  return row.started_at === null && startBy <= performance.now() ? 'start-timeout' : undefined
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
    case 'item':
      run.events.item(event.item)
      break
    case 'log':
      run.events.log(event.text)
      break
    case 'progress':
      run.events.progress(event.percent)
      break
    case 'usage':
      run.used = { ...run.used, ...readUsage(event.usage) }
      break
    default:
      event satisfies never
  }
}

export type RunReport = Settlement & { outcome: Outcome }
