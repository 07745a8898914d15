import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadCatalogue } from '@millrace/models/catalogue'
import type { ModelDescription } from '@millrace/models/description'
import { openProvider } from '@millrace/providers/open-provider'
import type { Provider } from '@millrace/providers/provider'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { lives } from './lives.ts'
import { logOf, shippedModel, startRun, temporaryFolder } from './run-model.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let chaos: ModelDescription
let provider: Provider

beforeAll(async () => {
  folder = await temporaryFolder()
  chaos = await shippedModel('chaos')
})
afterAll(() => folder[Symbol.asyncDispose]())
beforeEach(() => {
  provider = openProvider(chaos, { abortGraceMs: 200 })
})
afterEach(() => provider.close())

const run = (input: unknown) => startRun(provider, chaos, input, folder.path)

/** Describes and opens a model written for one test. */
async function given(name: string, source: string) {
  await using place = await temporaryFolder()
  const file = join(folder.path, `${name}.mjs`)
  await writeFile(
    file,
    `export default { namespace: '${name}', type: 'text', input_schema: { type: 'object' }, ${source} }`,
  )
  const { models, problems } = await loadCatalogue({ dirs: [folder.path, place.path], testModels: false })
  const description = models.get(name)
  if (!description) {
    throw new Error(JSON.stringify(problems))
  }
  const opened = openProvider(description)
  return {
    run: (input: unknown = {}, how?: { isolated: boolean }) =>
      startRun(opened, description, input, folder.path, how),
    [Symbol.asyncDispose]: () => opened.close(),
  }
}

test.each([
  ['kills its process', { crash: true }, { kind: 'crashed', detail: expect.stringContaining('SIGKILL') }],
  ['exits its process', { exit: 0 }, { kind: 'crashed', detail: expect.stringContaining('exit code 0') }],
  [
    'throws where nothing catches it',
    { throw: 'oops' },
    { kind: 'failed', code: 'MODEL_ERROR', detail: 'oops' },
  ],
  ['returns nonsense', { nonsense: true }, { kind: 'failed', code: 'INVALID_OUTPUT' }],
])('a model that %s ends its run, and the next one runs', async (_, input, expected) => {
  expect(await run(input).outcome).toMatchObject(expected)
  expect(await run({}).outcome).toMatchObject({ kind: 'succeeded', output: { text: 'calm' } })
})

test.each([
  [
    'a name that nobody has',
    `await fetch('http://nobody.invalid/')`,
    /^fetch failed: getaddrinfo \w+ nobody\.invalid$/,
  ],
  [
    'a port that nobody listens on',
    `await fetch('http://127.0.0.1:2/')`,
    /^fetch failed: connect ECONNREFUSED 127\.0\.0\.1:2$/,
  ],
  [
    'several addresses',
    `throw new Error('no', { cause: new AggregateError([new Error('one'), new Error('two')]) })`,
    /^no: one, two$/,
  ],
  ['what its message says already', `throw new Error('no: why', { cause: new Error('why') })`, /^no: why$/],
  [
    'a circle',
    `const error = new Error('a'); error.cause = new Error('b', { cause: error }); throw error`,
    /^a: b$/,
  ],
  ['a request', `throw new Error('no', { cause: { headers: { authorization: 'sesame' } } })`, /^no$/],
  [
    'a text with secrets',
    `throw new Error('no', { cause: 'GET http://me:sesame@host/?api_key=sesame&a=1, Bearer sesame' })`,
    /^no: GET http:\/\/\*\*\*@host\/\?api_key=\*\*\*&a=1, Bearer \*\*\*$/,
  ],
])('a model that fails says why, also where the cause is %s', async (_, body, detail) => {
  await using model = await given('caused', `async run() { ${body} }`)
  expect(await model.run().outcome).toMatchObject({
    kind: 'failed',
    code: 'MODEL_ERROR',
    detail: expect.stringMatching(detail),
  })
})

test('NUL and half a surrogate pair come through as they are', async () => {
  expect(await run({ nul: true }).outcome).toMatchObject({ output: { text: 'a\u0000b\ud800c' } })
})

test('a flood of print is cut off at a megabyte with a note, and costs the parent no memory', async () => {
  const before = process.memoryUsage().rss
  const { outcome, events } = run({ flood_mb: 400 })

  expect(await outcome).toMatchObject({ kind: 'succeeded' })
  expect(logOf(events).length).toBeGreaterThan(1_000_000)
  expect(logOf(events).length).toBeLessThan(1_100_000)
  expect(logOf(events).slice(-200)).toContain('rest of the log was dropped')
  expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024)
})

test.each(['busy', 'sleep'])(
  'a model that hangs (%s) and ignores the abort is killed after the grace',
  async (hang) => {
    const { ready, abort, outcome } = run({ hang })
    await ready
    abort()
    expect(await outcome).toEqual({ kind: 'aborted' })
    expect(await run({}).outcome).toMatchObject({ kind: 'succeeded' })
  },
)

test('killing a process that hangs costs its other runs an attempt', async () => {
  const hanging = run({ hang: 'sleep' })
  const neighbour = run({ hang: 'sleep' })
  await Promise.all([hanging.ready, neighbour.ready])
  hanging.abort()
  expect(await hanging.outcome).toEqual({ kind: 'aborted' })
  expect(await neighbour.outcome).toMatchObject({ kind: 'crashed' })
})

test('an isolated run neither dies with others nor they with it, and its process ends with it', async () => {
  await using model = await given(
    'crowded',
    `concurrency: 3, run: ({ crash, wait }, { log, signal }) => {
      log(String(process.pid))
      if (crash) process.kill(process.pid, 'SIGKILL')
      return wait ? new Promise((resolve) => signal.addEventListener('abort', resolve)) : String(process.pid)
    }`,
  )
  const pidIn = (started: ReturnType<typeof run>) =>
    vi.waitFor(() => Number(logOf(started.events)) || Promise.reject(new Error('no pid yet')), 5000)
  const alone = model.run({ wait: true }, { isolated: true })
  const neighbour = model.run({ wait: true })
  const [own, shared] = await Promise.all([pidIn(alone), pidIn(neighbour)])
  expect(own).not.toBe(shared)

  expect(await model.run({ crash: true }, { isolated: true }).outcome).toMatchObject({ kind: 'crashed' })
  expect(await model.run({ crash: true }).outcome).toMatchObject({ kind: 'crashed' })
  expect(await neighbour.outcome).toMatchObject({ kind: 'crashed' })
  expect(lives(own)).toBe(true)

  alone.abort()
  await alone.outcome
  await vi.waitFor(() => expect(lives(own)).toBe(false), 5000)
})

test('setup runs once and is kept; printing in a run is its log', async () => {
  await using model = await given(
    'warm',
    'setup: () => ({ runs: 0 }), run(_, { state }) { console.log("hello"); state.runs++; return "run " + state.runs }',
  )
  const first = model.run()
  expect(await first.outcome).toMatchObject({ output: 'run 1' })
  expect(logOf(first.events)).toBe('hello\n')
  expect(await model.run().outcome).toMatchObject({ output: 'run 2' })
})

test('a process without runs is let go after its idle time', async () => {
  await using model = await given('idle', 'idleSeconds: 0, run: () => String(process.pid)')
  const pid = Number(await pidOf(model.run()))
  await vi.waitFor(() => expect(lives(pid)).toBe(false), 5000)
  expect(Number(await pidOf(model.run()))).not.toBe(pid)
})

test('a setup that throws fails every run that waits for it, with its message', async () => {
  await using model = await given(
    'unready',
    'concurrency: 2, setup() { throw new Error("no weights") }, run: () => 1',
  )
  const outcomes = await Promise.all([model.run().outcome, model.run().outcome])
  expect(outcomes).toEqual([expect.objectContaining(noWeights), expect.objectContaining(noWeights)])
})

test('a run that waits for its turn can be aborted', async () => {
  await using model = await given(
    'single',
    'run: ({ wait }, { signal }) => wait ? new Promise((_, no) => signal.addEventListener("abort", () => no(signal.reason))) : 1',
  )
  const first = model.run({ wait: true })
  const second = model.run({})
  await first.ready
  second.abort()
  expect(await second.outcome).toEqual({ kind: 'aborted' })
  first.abort()
  expect(await first.outcome).toEqual({ kind: 'aborted' })
  expect(await model.run({}).outcome).toMatchObject({ output: 1 })
})

test.each([
  ['a function', 'run: () => () => 1'],
  ['a BigInt', 'run: () => ({ n: 1n })'],
  ['itself', 'run() { const a = {}; a.a = a; return a }'],
  ['nothing', 'run() {}'],
  ['a Map', 'run: () => new Map([[1, 2]])'],
  ['9 MB of text', 'run: () => "x".repeat(9 * 1024 * 1024)'],
  ['text without end', '*run() { for (;;) yield "x".repeat(1024 * 1024) }'],
  ['a file outside its folder', 'run: () => [{ $file: "/etc/hostname", name: "x" }]'],
  ['what its schema forbids', 'output_schema: { type: "string" }, run: () => 3'],
])('a model that returns %s fails with INVALID_OUTPUT', async (name, source) => {
  await using model = await given(name.replaceAll(' ', '-'), source)
  expect(await model.run().outcome).toMatchObject({
    kind: 'failed',
    code: 'INVALID_OUTPUT',
    detail: expect.any(String),
  })
})

test('what a generator yields is the output: text joined, files and other values in a list', async () => {
  await using text = await given('yields-text', '*run() { yield "a"; yield "b" }')
  await using files = await given(
    'yields-files',
    'async *run(_, { file }) { yield await file(new Uint8Array(3), { name: "../a.bin" }) }',
  )

  expect(await text.run().outcome).toMatchObject({ output: 'ab' })
  const { outcome, events } = files.run()
  expect(await outcome).toMatchObject({
    output: [{ $file: expect.stringContaining(folder.path), name: 'a.bin' }],
  })
  expect(events).toContainEqual({ kind: 'output', delta: expect.objectContaining({ name: 'a.bin' }) })
})

test('a model sees no secret of the service, and what it asks for', async () => {
  vi.stubEnv('MASTER_KEY', 'secret').stubEnv('DATABASE_URL', 'secret').stubEnv('WEIGHTS_TOKEN', 'mine')
  await using model = await given(
    'curious',
    'environment: ["WEIGHTS_TOKEN", "MASTER_KEY"], run: () => process.env',
  )
  const outcome = await model.run().outcome
  vi.unstubAllEnvs()
  expect(outcome).toMatchObject({ output: { WEIGHTS_TOKEN: 'mine', PATH: expect.any(String) } })
  expect(JSON.stringify(outcome)).not.toContain('secret')
})

const noWeights = { kind: 'failed', code: 'MODEL_ERROR', detail: expect.stringContaining('no weights') }

async function pidOf({ outcome }: ReturnType<typeof run>): Promise<unknown> {
  const ended = await outcome
  return ended.kind === 'succeeded' ? ended.output : undefined
}
