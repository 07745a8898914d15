import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ModelDescription } from '@millrace/models/description'
import { createGuard } from '@millrace/outbound/guard'
import { openProvider, type ProviderOptions } from '@millrace/providers/open-provider'
import type { Callback, Job, Outcome, RunEvent } from '@millrace/providers/provider'
import { onTestFinished } from 'vitest'
import { startReceiver } from './harness/receiver.ts'
import { temporaryFolder } from './run-model.ts'

/** Opens a model that runs elsewhere, for one test: each `start` is an attempt of a worker of its own. */
export async function openRuns(description: ModelDescription, options: ProviderOptions = {}): Promise<Runs> {
  const folder = await temporaryFolder()
  onTestFinished(() => folder[Symbol.asyncDispose]())
  const guard = createGuard({ allow: [], loopback: false })
  let attempt = 0

  function start(input: Record<string, unknown>, how: HowToStart = {}): StartedAttempt {
    const provider = openProvider(description, { guard, ...options })
    onTestFinished(() => provider.close())
    const abort = new AbortController()
    const events: RunEvent[] = []
    const kept: Job[] = []
    attempt += 1
    const workDir = join(folder.path, String(attempt))
    const outcome = mkdir(workDir).then(() =>
      provider.run({
        id: 'a-prediction',
        attempt,
        input,
        workDir,
        signal: abort.signal,
        job: how.job,
        callback: how.callback,
        async keep(job) {
          kept.push(job)
          await how.keeping?.()
        },
        emit: (event) => void events.push(event),
      }),
    )
    return { events, outcome, kept, workDir, abort: (reason) => abort.abort(reason) }
  }

  return { start, folder: folder.path }
}

/** An address where a host may report, as a worker has one. */
export async function givenCallback(): Promise<Callback & { heard(): number }> {
  const receiver = await startReceiver()
  onTestFinished(() => receiver.close())
  const hearers = new Set<(body: unknown) => void>()
  receiver.answerWith(({ body }) => {
    for (const hear of hearers) hear(JSON.parse(body))
    return {}
  })
  return {
    url: `${receiver.url}callback`,
    heard: () => receiver.requests.length,
    listen(hear) {
      hearers.add(hear)
      return () => void hearers.delete(hear)
    },
  }
}

/** The parts of text that a run has shown. */
export function shownParts(events: RunEvent[]): unknown[] {
  return events.flatMap((event) => (event.kind === 'output' ? [event.delta] : []))
}

/** Whether the host has begun with it. */
export function isReady({ events }: Pick<StartedAttempt, 'events'>): boolean {
  return events.some(({ kind }) => kind === 'ready')
}

export interface Runs {
  start(input: Record<string, unknown>, how?: HowToStart): StartedAttempt
  folder: string
}

export interface StartedAttempt {
  events: RunEvent[]
  outcome: Promise<Outcome>
  /** All that it has asked to be kept, in order. */
  kept: Job[]
  workDir: string
  abort(reason: string): void
}

interface HowToStart {
  job?: Job | undefined
  callback?: Callback
  /** What happens when a job is stored. */
  keeping?(): Promise<void>
}
