import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadCatalogue } from '@millrace/models/catalogue'
import type { ModelDescription } from '@millrace/models/description'
import { shippedModelsDir } from '@millrace/models/shipped-models'
import { createValidator } from '@millrace/models/validate'
import type { Outcome, Provider, RunEvent } from '@millrace/providers/provider'

/** A shipped model by its namespace, test models included. */
export async function shippedModel(namespace: string): Promise<ModelDescription> {
  const { models } = await loadCatalogue({ dirs: [shippedModelsDir()], testModels: true })
  const found = models.get(namespace)
  if (!found) {
    throw new Error(`${namespace} is not shipped`)
  }
  return found
}

/** An empty folder that `await using` removes. */
export async function temporaryFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'millrace-test-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** Begins a run as a worker would, with defaults applied, and records what it emits. */
export function startRun(
  provider: Provider,
  description: ModelDescription,
  input: unknown,
  workDir: string,
  how: { isolated?: boolean } = {},
): StartedRun {
  const checked = createValidator(description)(input)
  if (!checked.ok) {
    throw new Error(JSON.stringify(checked.fields))
  }
  const abort = new AbortController()
  const events: RunEvent[] = []
  const ready = Promise.withResolvers<void>()
  const outcome = provider.run({
    id: 'a-prediction',
    attempt: 1,
    input: checked.input,
    workDir,
    ...how,
    signal: abort.signal,
    emit(event) {
      events.push(event)
      if (event.kind === 'ready') {
        ready.resolve()
      }
    },
  })
  return { events, outcome, ready: ready.promise, abort: () => abort.abort() }
}

/** All a run has logged. */
export function logOf(events: RunEvent[]): string {
  return events.flatMap((event) => (event.kind === 'log' ? [event.text] : [])).join('')
}

export interface StartedRun {
  events: RunEvent[]
  outcome: Promise<Outcome>
  ready: Promise<void>
  abort(): void
}
