import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { FileValue } from '@millrace/models/define-model'
import type { ModelDescription } from '@millrace/models/description'
import { openProvider, type ProviderOptions } from '@millrace/providers/open-provider'
import type { Job, Outcome, RunEvent } from '@millrace/providers/provider'
import { onTestFinished } from 'vitest'
import { descriptionOf, type OpenaiHost, openHost } from './hosts/openai.ts'
import type { Surface } from './hosts/openai-surfaces.ts'
import { temporaryFolder } from './run-model.ts'

/** A fake host until the test ends. */
export async function givenHost(surface?: Surface): Promise<OpenaiHost> {
  const host = await openHost(surface)
  onTestFinished(() => host.close())
  return host
}

/** Begins a run at a host as a worker would, and records what it emits and keeps. */
export async function begin(
  description: ModelDescription,
  input: Record<string, unknown>,
  { job, keep, ...options }: Begin = {},
): Promise<Begun> {
  const folder = await temporaryFolder()
  onTestFinished(() => folder[Symbol.asyncDispose]())
  const provider = openProvider(description, options)
  onTestFinished(() => provider.close())
  const abort = new AbortController()
  const events: RunEvent[] = []
  const kept: Job[] = []
  const outcome = provider.run({
    id: 'a-prediction',
    attempt: 1,
    input,
    workDir: join(folder.path, 'run'),
    signal: abort.signal,
    job,
    async keep(one) {
      kept.push(one)
      await keep?.(one)
    },
    emit: (event) => events.push(event),
  })
  return { outcome, events, kept, stop: (reason) => abort.abort(reason), close: () => provider.close() }
}

/** A whole run of a model that the host serves. */
export async function run(
  host: OpenaiHost,
  surface: Surface,
  input: Record<string, unknown>,
  more?: Parameters<typeof descriptionOf>[2],
): Promise<Begun & { result: Outcome }> {
  const begun = await begin(descriptionOf(surface, host.url, more), input)
  return { ...begun, result: await begun.outcome }
}

/** The one file of an output, with its bytes. */
export async function fileIn(result: Outcome): Promise<FileValue & { bytes: Buffer }> {
  if (result.kind !== 'succeeded') throw new Error(JSON.stringify(result))
  const file = result.output as FileValue
  return { ...file, bytes: await readFile(file.$file) }
}

/** A file of an input, as a worker brings it. */
export async function givenFile(name: string, bytes: Uint8Array): Promise<string> {
  const folder = await temporaryFolder()
  onTestFinished(() => folder[Symbol.asyncDispose]())
  const path = join(folder.path, name)
  await writeFile(path, bytes)
  return path
}

interface Begin extends ProviderOptions {
  job?: Job
  keep?(job: Job): Promise<void>
}

interface Begun {
  outcome: Promise<Outcome>
  events: RunEvent[]
  kept: Job[]
  stop(reason: string): void
  close(): Promise<void>
}
