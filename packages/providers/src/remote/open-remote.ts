import type { ModelDescription, ModelProvider } from '@millrace/models/description'
import type { RemoteKind } from '@millrace/models/provider-settings'
import { createOutputValidator } from '@millrace/models/validate'
import type { Guard } from '@millrace/outbound/guard'
import { calmEvents } from '../calm-events.ts'
import { checkOutput } from '../check-output.ts'
import { errorText } from '../error-text.ts'
import type { Outcome, Provider, RunRequest } from '../provider.ts'
import { createSlots } from '../slots.ts'
import { type AskHost, createAskHost } from './ask-host.ts'
import { Failed, Unavailable } from './faults.ts'
import { kinds } from './kinds.ts'
import { lingering } from './lingering.ts'
import { createRehost, type Rehost } from './rehost.ts'
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

  async function perform(request: RunRequest): Promise<Outcome> {
    const started = performance.now()
    let measured: number | undefined
    const calm = calmEvents((event) => request.emit(event))
    const signal = AbortSignal.any([request.signal, closing.signal])
    try {
      const settings = withVariables(description.provider, options.environment ?? {})
      const { timeoutMs = 60_000 } = options
      const ask = createAskHost({ signal, timeoutMs })
      const lasting = createAskHost({ signal: lingering(signal), timeoutMs })
      const rehost = createRehost({ ...options, workDir: request.workDir, signal, settings })
      const raw = await kind.perform({
        ...request,
        signal,
        emit: calm.emit,
        description,
        settings,
        ask,
        lasting,
        timeoutMs,
        measured(seconds) {
          measured = seconds
        },
        rehost,
      })
      const seconds = measured ?? (performance.now() - started) / 1000
      return await checkOutput(raw, { workDir: request.workDir, validate, seconds })
    } catch (error) {
      if (signal.aborted) return { kind: 'aborted' }
      return outcomeOf(error)
    } finally {
      calm.end()
    }
  }

  return {
    kind: description.provider.kind,
    wants: kind.wants,
    warm: () => false,
    async run(request) {
      if (!(await slots.take(request.signal))) return { kind: 'aborted' }
      try {
        return await perform(request)
      } finally {
        slots.leave()
      }
    },
    async close() {
      closing.abort('drain')
    },
  }
}

function outcomeOf(error: unknown): Outcome {
  if (error instanceof Unavailable) return { kind: 'unavailable', reason: error.message, ...error.about }
  if (error instanceof Failed) return { kind: 'failed', code: error.code, detail: error.message }
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
  /** Goes on for some seconds after `signal`: for cancelling, and for creating what has to be cancelled then. */
  lasting: AskHost
  /** How long the host may be silent. */
  timeoutMs: number
  /** The seconds that the work took, where the host says so itself. */
  measured(seconds: number): void
  rehost: Rehost
}

/** A run at a host of whatever kind. */
export type AnyCall = Omit<Call, 'settings'>

/** A model that runs on another machine, or in a process that is not ours. */
export type RemoteModel = ModelDescription & { provider: Extract<ModelProvider, { kind: RemoteKind }> }

export interface RemoteOptions {
  /** Checks addresses that a host names in its output; none outside of it is fetched where there is no guard. */
  guard?: Guard
  /** For `${NAME}` in settings. */
  environment?: Record<string, string | undefined>
  /** The largest file of an output. */
  maxFileBytes?: number
  /** How long a host may be silent. */
  timeoutMs?: number
}
