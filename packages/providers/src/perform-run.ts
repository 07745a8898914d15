import { randomUUID } from 'node:crypto'
import { StringDecoder } from 'node:string_decoder'
import type { OutputValidator } from '@millrace/models/validate'
import { calmEvents } from './calm-events.ts'
import { checkOutput } from './check-output.ts'
import type { FromHost } from './host-messages.ts'
import type { ModelProcess, SetupFault } from './model-process.ts'
import type { Outcome, RunRequest } from './provider.ts'

/**
 * One run in a model's process: wait for its setup, hand the input over, hear it out, check what it returned. An abort
 * is asked for first; a run that goes on after the grace is ended with its whole process, which costs its neighbours
 * there an attempt each (`crashed`), because nothing else stops code that does not listen.
 */
export async function performRun(
  child: ModelProcess,
  request: RunRequest,
  options: RunOptions,
): Promise<Outcome> {
  // A key of its own per attempt: a late word about an earlier attempt must not reach this one.
  const key = randomUUID()
  const calm = calmEvents((event) => request.emit(event))
  const ended = Promise.withResolvers<Ending>()
  const decoder = new StringDecoder('utf8')
  const coldBoot = !child.isUp
  child.join(key, {
    hear: (message) => (message.kind === 'event' ? calm.emit(message.event) : ended.resolve(message)),
    print: (printed) => calm.emit({ kind: 'log', text: decoder.write(printed) }),
    died: (detail) => ended.resolve({ kind: 'died', detail }),
  })
  const stop = onAbort(request.signal, () =>
    ended.resolve({ kind: 'died', detail: 'aborted while starting' }),
  )
  try {
    const fault = await Promise.race([child.setup, ended.promise.then((): undefined => undefined)])
    stop()
    if (request.signal.aborted) {
      abandonSetup(child, options.abortGraceMs)
      return { kind: 'aborted' }
    }
    if (fault) {
      return setupOutcome(child, fault)
    }
    calm.emit({ kind: 'ready', coldBoot })
    const { attempt, input, workDir } = request
    child.tell({ run: key, attempt, input, workDir })
    return await hearOut(child, key, request, ended.promise, options)
  } finally {
    stop()
    calm.end()
    child.leave(key)
  }
}

async function hearOut(
  child: ModelProcess,
  key: string,
  { signal, workDir }: RunRequest,
  ended: Promise<Ending>,
  { validate, abortGraceMs }: RunOptions,
): Promise<Outcome> {
  let grace: NodeJS.Timeout | undefined
  const stop = onAbort(signal, () => {
    child.tell({ abort: key })
    grace = setTimeout(() => child.kill(), abortGraceMs)
  })
  const ending = await ended
  stop()
  clearTimeout(grace)
  if (signal.aborted) {
    return { kind: 'aborted' }
  }
  switch (ending.kind) {
    case 'done':
      return checkOutput(ending.output, { workDir, validate, seconds: ending.seconds })
    case 'failed': {
      const { run: _, ...outcome } = ending
      return outcome
    }
    case 'died':
      return { kind: 'crashed', detail: ending.detail }
  }
}

function setupOutcome(child: ModelProcess, { died, detail, stack }: SetupFault): Outcome {
  child.kill()
  return died
    ? { kind: 'crashed', detail }
    : { kind: 'failed', code: 'MODEL_ERROR', detail, ...(stack === undefined ? {} : { stack }) }
}

/** The run is over at once: it never began. A setup that nobody waits for any more gets the grace to finish, then ends. */
function abandonSetup(child: ModelProcess, graceMs: number): void {
  const timer = setTimeout(() => {
    if (child.runs === 0) {
      child.kill()
    }
  }, graceMs).unref()
  void child.setup.then(() => clearTimeout(timer))
}

function onAbort(signal: AbortSignal, act: () => void): () => void {
  if (signal.aborted) {
    act()
    return () => undefined
  }
  signal.addEventListener('abort', act, { once: true })
  return () => signal.removeEventListener('abort', act)
}

/** What outputs must fit, and how long an abort may take. */
export interface RunOptions {
  validate: OutputValidator
  abortGraceMs: number
}

type Ending =
  | Exclude<Extract<FromHost, { run: string }>, { kind: 'event' }>
  | { kind: 'died'; detail: string }
