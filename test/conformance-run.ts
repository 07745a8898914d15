import type { ModelDescription } from '@millrace/models/description'
import { variablesIn } from '@millrace/models/variables'
import { createGuard } from '@millrace/outbound/guard'
import { openProvider, type ProviderOptions } from '@millrace/providers/open-provider'
import type { Job, Outcome, Provider, RunEvent, RunRequest } from '@millrace/providers/provider'
import { expect, onTestFinished } from 'vitest'
import { temporaryFolder } from './run-model.ts'

/** What each variable holds that the settings of a host under test name, such as its token. */
export const conformanceSecret = 'sk-conformance-0123456789'

/** Opens a kind of model host for one test. What any of its runs says is searched for the secrets of its settings. */
export async function openConformer(host: HostUnderTest): Promise<Conformer> {
  const { description } = host
  const variables = variablesIn(description.provider)
  const options: ProviderOptions = {
    abortGraceMs: 5000,
    environment: Object.fromEntries(variables.map(({ name }) => [name, conformanceSecret])),
    guard: createGuard({ allow: [], loopback: true }),
    ...host.options,
  }
  const provider = openProvider(description, options)
  const work = await temporaryFolder()
  onTestFinished(async () => {
    await provider.close()
    await work[Symbol.asyncDispose]()
  })
  const secrets = [conformanceSecret, ...statedSecrets(description.provider)]

  async function start(input: ConformanceInput, how: HowToStart = {}): Promise<Begun> {
    const abort = new AbortController()
    if (how.aborted) abort.abort(how.aborted)
    const events: RunEvent[] = []
    let kept: Job | undefined
    let begunWhenReady: number | undefined
    const outcome = provider.run({
      id: '0198c0de-0000-7000-8000-000000000001',
      attempt: how.attempt ?? 1,
      input: { ...input },
      workDir: work.path,
      signal: abort.signal,
      job: how.job,
      callback: host.callback,
      async keep(job) {
        // As the database would hand it to the next worker.
        kept = JSON.parse(JSON.stringify(job))
        expect(Buffer.byteLength(JSON.stringify(job))).toBeLessThanOrEqual(4096)
      },
      emit(event) {
        if (event.kind === 'ready') begunWhenReady ??= host.begun?.()
        events.push(event)
      },
    })
    const checked = outcome.then((ended) => {
      const said = JSON.stringify({ ended, events, kept })
      for (const secret of secrets) expect(said).not.toContain(secret)
      return ended
    })
    checked.catch(() => undefined)
    return {
      events,
      outcome: checked,
      kept: () => kept,
      begunWhenReady: () => begunWhenReady,
      abort: (reason) => abort.abort(reason),
    }
  }

  return {
    host,
    provider,
    workDir: work.path,
    start,
    async run(input) {
      const { outcome, events, kept } = await start(input)
      return { outcome: await outcome, events, kept: kept(), provider }
    },
  }
}

/** Tokens that a description states itself, as tests may and people should not. */
function statedSecrets(provider: object): string[] {
  const secret = /^(token|key|api_key)$/
  return Object.entries(provider).flatMap(([name, value]) =>
    secret.test(name) && typeof value === 'string' && !value.includes('${') ? [value] : [],
  )
}

/** The parts of an output that were shown while it was made, those that are text. */
export function deltasOf(events: RunEvent[]): string[] {
  return events.flatMap((event) =>
    event.kind === 'output' && typeof event.delta === 'string' ? [event.delta] : [],
  )
}

/** What was heard, in order. */
export function kindsOf(events: RunEvent[]): RunEvent['kind'][] {
  return events.map(({ kind }) => kind)
}

/** What a fake host (or fixture model) does with a run, told by its input. What it cannot do, it refuses or leaves out. */
export interface ConformanceInput {
  do:
    | 'succeed' // with `text` in upper case
    | 'fail' // with `text` as the model's error
    | 'refuse-input' // its field `text`
    | 'busy'
    | 'down'
    | 'slow-start' // waits in the host's queue until `release`, then as `succeed`
    | 'stream' // the words of `text` one by one
    | 'progress' // tells how far it is, then as `succeed`
    | 'log' // says `text` once beside its output, then as `succeed`
    | 'file' // a file that holds `text`
    | 'take-file' // the number of bytes in `file`, as text
    | 'hang' // until `release`, then 'DONE'
    | 'garbage' // an answer that means nothing
    | 'cut' // the connection ends in the middle of the answer, or the process dies
    | 'policy' // refused for its content
  text?: string
  /** `format: uri` in the schema of the input. */
  file?: string
}

/** A kind of model host for one test. */
export interface HostUnderTest {
  /** A description of this kind that aims at the fake. The suite sets each variable to `conformanceSecret`. */
  description: ModelDescription
  /** What this kind cannot do, by nature of its host: shown to be absent, never skipped. */
  cannot: readonly ConformanceInput['do'][]
  /** Jobs (or requests for work) it was given, in all. */
  created(): number
  /** Jobs that were cancelled (for kinds that can), or whose connection was dropped. */
  cancelled(): Promise<number>
  /** Work that hangs goes on and succeeds with 'DONE'; what waits in the queue begins. */
  release(): void
  close(): Promise<void>
  /** Jobs whose work has begun, where the host has a queue. */
  begun?(): number
  /** Whether its jobs outlast a connection and are kept for the next attempt: true unless stated. */
  keepsJobs?: boolean
  /** What it says when it is busy. */
  retryAfterSeconds?: number
  /** What a file of the output holds, where it is not the text. */
  fileBytes?(): Buffer
  /** Where it may report, for kinds that are tried that way. */
  callback?: RunRequest['callback']
  /** Beside the suite's own. */
  options?: ProviderOptions
}

/** A case that is one run. */
export interface Case {
  title: string
  input: Omit<ConformanceInput, 'do'>
  expected(seen: Seen, host: HostUnderTest): void
  sign(seen: Seen): boolean
}

/** All that a run came to. */
export interface Seen {
  outcome: Outcome
  events: RunEvent[]
  kept: Job | undefined
  provider: Provider
}

export interface Conformer {
  host: HostUnderTest
  provider: Provider
  workDir: string
  start(input: ConformanceInput, how?: HowToStart): Promise<Begun>
  run(input: ConformanceInput): Promise<Seen>
}

interface Begun {
  events: RunEvent[]
  outcome: Promise<Outcome>
  kept(): Job | undefined
  /** How many jobs had begun at the host when the run was said to be ready. */
  begunWhenReady(): number | undefined
  abort(reason: string): void
}

interface HowToStart {
  attempt?: number
  job?: Job | undefined
  /** Over before it begins, for this reason. */
  aborted?: string
}
