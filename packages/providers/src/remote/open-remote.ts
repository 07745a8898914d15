import type { ModelDescription, ModelProvider } from '@millrace/models/description'
import type { RemoteKind } from '@millrace/models/provider-settings'
import { createOutputValidator } from '@millrace/models/validate'
import type { Guard } from '@millrace/outbound/guard'
import { calmEvents } from '../calm-events.ts'
import { checkOutput } from '../check-output.ts'
import { errorText } from '../error-text.ts'
import { type Job, leavesJob, type Outcome, type Provider, type RunRequest } from '../provider.ts'
import { createSlots } from '../slots.ts'
import { type AskHost, createAskHost } from './ask-host.ts'
import { Failed, Unavailable } from './faults.ts'
import { kinds } from './kinds.ts'
import { createRehost, type Rehost } from './rehost.ts'
import { secretsOf } from './secrets.ts'
import { withVariables } from './variables.ts'

/**
 * Opens a model that runs on somebody else's machine. Each kind of host has a file of its own that performs a run and
 * throws what went wrong as one of the two faults; turns, checks of the output and outcomes are the same for all.
 */
export function openRemote(description: RemoteModel, options: RemoteOptions = {}): Provider {
  const validate = createOutputValidator(description)
  // Each kind is given its own settings, which its name picked.
  const kind = kinds[description.provider.kind] as Kind<RemoteKind>
  const slots = createSlots(description.concurrency)
  const closing = new AbortController()
  const known: Known = {}
  const inside = new Set<Promise<Outcome>>()

  async function perform(request: RunRequest): Promise<Outcome> {
    const started = performance.now()
    const { environment = {}, timeoutMs = 60_000 } = options
    let measured: number | undefined
    const secrets = secretsOf(description.provider, environment)
    const calm = calmEvents((event) => request.emit(secrets.hide(event)))
    const signal = AbortSignal.any([request.signal, closing.signal])
    const late = lateSignal(signal, lateMs)
    try {
      const settings = withVariables(description.provider, environment)
      const raw = await kind.perform({
        ...request,
        ...(request.keep
          ? { keep: (job: Job) => request.keep?.(secrets.hide(job)) ?? Promise.resolve() }
          : {}),
        signal,
        emit: calm.emit,
        description,
        settings,
        ask: createAskHost({ signal, timeoutMs }),
        lasting: createAskHost({ signal: late.signal, timeoutMs }),
        known,
        timeoutMs,
        measured(seconds) {
          if (seconds >= 0 && seconds <= 7 * 24 * 3600) measured = seconds
        },
        rehost: createRehost({ ...options, workDir: request.workDir, signal, settings }),
      })
      // What is done in time is kept when the worker goes, and dropped when nobody wants it any more.
      if (request.signal.aborted && (raw === undefined || !leavesJob(request.signal)))
        return { kind: 'aborted' }
      const seconds = measured ?? (performance.now() - started) / 1000
      return await checkOutput(secrets.hide(raw), { workDir: request.workDir, validate, seconds })
    } catch (error) {
      if (signal.aborted) return { kind: 'aborted' }
      return secrets.hide(outcomeOf(error))
    } finally {
      late.clear()
      calm.end()
    }
  }

  return {
    kind: description.provider.kind,
    wants: kind.wants,
    warm: () => known.ready ?? false,
    async run(request) {
      if (request.signal.aborted || !(await slots.take(request.signal))) return { kind: 'aborted' }
      const running = perform(request)
      inside.add(running)
      try {
        return await running
      } finally {
        inside.delete(running)
        slots.leave()
      }
    },
    async close() {
      closing.abort('drain')
      await Promise.all(inside)
    },
  }
}

/** Fires some time after another signal. */
function lateSignal(signal: AbortSignal, ms: number) {
  const late = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const wait = () => {
    timer = setTimeout(() => late.abort(signal.reason), ms)
  }
  if (signal.aborted) wait()
  else signal.addEventListener('abort', wait, { once: true })
  return {
    signal: late.signal,
    clear() {
      signal.removeEventListener('abort', wait)
      clearTimeout(timer)
    },
  }
}

/** For a host to say what it called a job, or to take a cancel: short of what a draining worker waits for. */
const lateMs = 5_000

function outcomeOf(error: unknown): Outcome {
  if (error instanceof Unavailable) return { kind: 'unavailable', reason: error.message, ...error.about }
  if (error instanceof Failed) return { kind: 'failed', code: error.code, detail: error.message }
  if (error instanceof RangeError)
    return {
      kind: 'failed',
      code: 'INVALID_OUTPUT',
      detail: "The host's answer is too deep or too large to be used.",
    }
  // What no kind foresaw: an answer in a shape that nobody knows, or an error of our own.
  return { kind: 'failed', code: 'MODEL_ERROR', ...errorText(error) }
}

/** A kind of host: how it takes files, and how it performs one run. Answers the output; files in it are `FileValue`s. */
export interface Kind<Name extends RemoteKind> {
  wants: Provider['wants']
  /** Emits `ready` when the run begins there. When `signal` fires, the host's job is cancelled, unless `leavesJob`. */
  perform(call: Call<Name>): Promise<unknown>
}

/** A run at a host, and the ways to reach it. */
export interface Call<Name extends RemoteKind = RemoteKind> extends RunRequest {
  description: RemoteModel
  /** With the values of its variables. */
  settings: Extract<ModelProvider, { kind: Name }>
  ask: AskHost
  /** Goes on for five seconds after the signal: for what must not be left half done, and to cancel a job. */
  lasting: AskHost
  rehost: Rehost
  /** What runs of this model have learned of its host; kept as long as the provider is open. */
  known: Known
  /** How long a host may be silent where it should say something. */
  timeoutMs: number
  /** The seconds that the work took, where the host says so itself. */
  measured(seconds: number): void
}

/** A run at a host of whatever kind. */
export type AnyCall = Omit<Call, 'settings'>

/** See `Call.known`. */
export interface Known {
  /** It was set up when it was last heard of. */
  ready?: boolean
  /** Whether it streams this model's output. */
  streams?: boolean
  /** Whether its callbacks arrive. */
  callsBack?: boolean
}

/** A model that runs on another machine, or in a process that is not ours. */
export type RemoteModel = ModelDescription & { provider: Extract<ModelProvider, { kind: RemoteKind }> }

export interface RemoteOptions {
  /** Judges addresses that a host names in its output, its own apart; public ones alone pass where there is no guard. */
  guard?: Guard
  /** For `${NAME}` in settings. */
  environment?: Record<string, string | undefined>
  /** The largest file of an output. */
  maxFileBytes?: number
  /** How long a host may be silent. */
  timeoutMs?: number
}
