/**
 * The process of one model: loads it, sets it up once, and runs it, several runs at a time where the model allows it.
 * Started by ModelProcess as `node model-host.ts <provider as JSON>`, and told the model's source first. Talks JSON lines
 * over a socket of its own, so that what the model prints is only ever a log. Ends when that socket closes, however the parent went.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { flushCompileCache } from 'node:module'
import { Socket } from 'node:net'
import { calmEvents } from './calm-events.ts'
import { errorText } from './error-text.ts'
import { CHANNEL_FD, type FromHost, MAX_LINE_LENGTH, type ToHost } from './host-messages.ts'
import { type HostedRun, hostedRun } from './hosted-run.ts'
import { lines } from './lines.ts'
import { loadModel } from './load-model.ts'
import type { ProcessProvider } from './open-process.ts'

const provider: ProcessProvider = JSON.parse(process.argv[2] ?? '{}')
const channel = new Socket({ fd: CHANNEL_FD })
const runs = new Map<string, HostedRun>()
const insideRun = new AsyncLocalStorage<HostedRun>()

channel.on('error', () => undefined).on('close', leave)
attributePrints()
process.on('uncaughtException', blame)
const told = lines(channel, MAX_LINE_LENGTH)
const { value: first } = await told.next()
const model = await setUp(JSON.parse(first?.text ?? '{}').source)
for await (const { text } of told) {
  take(JSON.parse(text))
}

async function setUp(source: string | undefined) {
  try {
    const loaded = await loadModel(
      withSource(provider, source),
      (pid, lives) => void send({ kind: 'group', pid, lives }),
    )
    const state = await loaded.setup()
    await send({ kind: 'set-up' })
    // Now, since a model that kills its process would compile it anew each time.
    flushCompileCache()
    return { ...loaded, state }
  } catch (error) {
    await send({ kind: 'setup-failed', ...errorText(error) })
    return leave()
  }
}

function withSource(stated: ProcessProvider, source: string | undefined): ProcessProvider {
  return stated.kind === 'module' ? { ...stated, source } : stated
}

function take(message: Exclude<ToHost, { source: unknown }>): void {
  if ('abort' in message) {
    runs.get(message.abort)?.abort()
    return
  }
  const key = message.run
  const calm = calmEvents((event) => void send({ kind: 'event', run: key, event }))
  const run = hostedRun({ ...message, emit: calm.emit, drained })
  runs.set(key, run)
  insideRun.run(run, async () => {
    const started = performance.now()
    const result = await run.perform(model.run, model.state)
    calm.end()
    runs.delete(key)
    const seconds = (performance.now() - started) / 1000
    await send(
      'output' in result
        ? { kind: 'done', run: key, ...result, seconds }
        : { kind: 'failed', run: key, ...result },
    )
  })
}

/** Resolves when the parent is ready for more, so that an endless output waits instead of growing here. */
async function send(message: FromHost): Promise<void> {
  channel.write(`${JSON.stringify(message)}\n`)
  await drained()
}

async function drained(): Promise<void> {
  if (channel.writableNeedDrain) {
    await new Promise((resolve) => channel.once('drain', resolve))
  }
}

/** What the model prints inside a run goes to the log of that run, also where several share this process. */
function attributePrints(): void {
  for (const stream of [process.stdout, process.stderr]) {
    const print = stream.write.bind(stream)
    stream.write = (chunk: string | Uint8Array, ...rest: [never?, never?]): boolean => {
      const run = insideRun.getStore()
      if (!run) {
        return print(chunk, ...rest)
      }
      run.print(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8'))
      const done: unknown = rest.findLast((argument) => typeof argument === 'function')
      if (typeof done === 'function') {
        process.nextTick(() => done())
      }
      return true
    }
  }
}

/** An error nobody caught: the run it came from fails with it. The process cannot be trusted any more and ends. */
async function blame(error: unknown): Promise<void> {
  await send({ kind: 'leaving' })
  const culprit = insideRun.getStore() ?? (runs.size === 1 ? [...runs.values()][0] : undefined)
  if (culprit && runs.has(culprit.key)) {
    await send({ kind: 'failed', run: culprit.key, code: 'MODEL_ERROR', ...errorText(error) })
  } else {
    process.stderr.write(`${errorText(error).detail}\n`)
  }
  channel.end(() => process.exit(1))
}

function leave(): never {
  for (const run of runs.values()) {
    run.abort()
  }
  process.exit(0)
}
