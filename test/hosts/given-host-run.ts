import type { ModelDescription } from '@millrace/models/description'
import { openProvider, type ProviderOptions } from '@millrace/providers/open-provider'
import type { Job, Outcome, RunEvent, RunRequest } from '@millrace/providers/provider'
import { temporaryFolder } from '../run-model.ts'

/** A provider of a model that runs elsewhere, and runs of it as a worker would begin them. */
export async function givenProvider(
  description: ModelDescription,
  options: ProviderOptions = {},
): Promise<GivenProvider> {
  const provider = openProvider(description, options)
  const folder = await temporaryFolder()
  let runs = 0
  return {
    warm: () => provider.warm(),
    workDir: folder.path,
    run(input, request = {}) {
      runs += 1
      const abort = new AbortController()
      const events: RunEvent[] = []
      const kept: Job[] = []
      const ready = Promise.withResolvers<void>()
      const outcome = provider.run({
        id: `prediction-${runs}`,
        attempt: 1,
        input,
        workDir: folder.path,
        signal: abort.signal,
        keep: async (job) => void kept.push(job),
        emit(event) {
          events.push(event)
          if (event.kind === 'ready') ready.resolve()
        },
        ...request,
      })
      return { outcome, events, kept, ready: ready.promise, abort: (reason) => abort.abort(reason) }
    },
    async [Symbol.asyncDispose]() {
      await provider.close()
      await folder[Symbol.asyncDispose]()
    },
  }
}

/** The texts of an output, as they came. */
export function textsOf(events: RunEvent[]): string[] {
  return events.flatMap((event) =>
    event.kind === 'output' && typeof event.delta === 'string' ? [event.delta] : [],
  )
}

export interface GivenProvider extends AsyncDisposable {
  warm(): boolean
  workDir: string
  run(input: Record<string, unknown>, request?: Partial<RunRequest>): HostRun
}

export interface HostRun {
  outcome: Promise<Outcome>
  events: RunEvent[]
  kept: Job[]
  ready: Promise<void>
  abort(reason: 'cancel' | 'drain' | 'lost'): void
}
