import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { until } from './harness/wait.ts'
import type { CogHostOptions } from './hosts/cog.ts'
import { givenCallbacks, givenCog } from './hosts/given-cog.ts'
import { givenProvider, textsOf } from './hosts/given-host-run.ts'
import { logOf } from './run-model.ts'

const ways = [
  { way: 'in the background', streaming: true, callback: true, python: false },
  { way: 'over a stream', streaming: true, callback: false, python: false },
  { way: 'over one request', streaming: false, callback: false, python: false },
  { way: 'in the background of a model that cannot stream', streaming: false, callback: true, python: false },
  { way: "over one request to Python's Cog", streaming: false, callback: false, python: true },
]

for (const { way, streaming, callback, python } of ways) {
  async function givenWay(options: CogHostOptions = {}) {
    const callbacks = callback ? { callback: await givenCallbacks() } : {}
    const { host, run, warm } = await givenCog({ streaming, python, ...options })
    return {
      host,
      warm,
      run: (input: Record<string, unknown>, request: object = {}) => run(input, { ...callbacks, ...request }),
    }
  }

  test(`a container runs a model ${way}`, async () => {
    const { host, run, warm } = await givenWay()
    expect(warm()).toBe(false)
    const { outcome, events } = run({ do: 'succeed', text: 'hello', unknown: 1 })

    expect(await outcome).toMatchObject({ kind: 'succeeded', output: 'HELLO' })
    expect(events[0]).toEqual({ kind: 'ready' })
    expect(host.created()).toBe(1)
    expect(warm()).toBe(true)
  })

  test(`what the model says when it fails is the failure: ${way}`, async () => {
    const { run } = await givenWay()
    const failure = { kind: 'failed', code: 'MODEL_ERROR', detail: 'out of paint' }
    expect(await run({ do: 'fail', text: 'out of paint' }).outcome).toMatchObject(failure)
    const refused = { kind: 'failed', code: 'MODEL_ERROR', detail: 'text: is too rude' }
    expect(await run({ do: 'reject', text: 'is too rude' }).outcome).toMatchObject(refused)
  })

  test(`an input that the container refuses fails with the name of its field: ${way}`, async () => {
    const { run } = await givenWay()
    const failure = { kind: 'failed', code: 'MODEL_ERROR', detail: 'text: Field required' }
    expect(await run({ do: 'refuse-input' }).outcome).toEqual(failure)
  })

  test(`a container without a free slot, or that sets up, is unavailable: ${way}`, async () => {
    const { host, run, warm } = await givenWay()
    const holder = run({ do: 'hang' })
    await until(() => host.created() === 1, { what: 'the run that takes the slot' })
    expect(await run({ do: 'succeed' }).outcome).toMatchObject({ kind: 'unavailable', busy: true })
    expect(await run({ do: 'busy' }).outcome).toMatchObject({ kind: 'unavailable', busy: true })
    host.release()
    expect(await holder.outcome).toMatchObject({ kind: 'succeeded', output: 'DONE' })
    expect(warm()).toBe(true)

    host.becomes('starting')
    const later = { kind: 'unavailable', down: true, retryAfterSeconds: 5 }
    expect(await run({ do: 'succeed' }).outcome).toMatchObject(later)
    expect(warm()).toBe(false)
    expect(host.created()).toBe(1)
  })

  test(`a cancelled run is cancelled in the container, and waited for: ${way}`, async () => {
    const noticed = Promise.withResolvers<void>()
    const { host, run } = await givenWay({ untilNoticed: () => noticed.promise })
    const { outcome, abort } = run({ do: 'hang' })
    await until(() => host.running().length === 1, { what: 'the run in the container' })
    abort('cancel')
    await until(() => host.requests.some((request) => request.endsWith('/cancel')), {
      what: 'the request to cancel',
    })
    let ended = false
    void outcome.then(() => {
      ended = true
    })
    await new Promise(setImmediate)
    expect(ended).toBe(false)
    noticed.resolve()

    expect(await outcome).toEqual({ kind: 'aborted' })
    expect(host.running()).toEqual([])
    expect(await host.cancelled()).toBe(1)
  })

  test(`logs, the progress in them and the seconds of the work arrive: ${way}`, async () => {
    const { run } = await givenWay()
    const logged = run({ do: 'log', text: 'mixing colours' })
    expect(await logged.outcome).toMatchObject({ kind: 'succeeded', output: 'MIXING COLOURS' })
    expect(logOf(logged.events)).toBe('mixing colours\n')
    const paced = run({ do: 'progress', text: 'x' })
    expect(await paced.outcome).toMatchObject({ kind: 'succeeded', predictSeconds: expect.any(Number) })
    expect(paced.events).toContainEqual({ kind: 'progress', percent: 50 })
  })

  test.each(['data', 'url'] as const)(`files of an output are brought here (${way}): %s`, async (files) => {
    const { run } = await givenWay({ files })
    const outcome = await run({ do: 'file', text: 'pixels' }).outcome
    const file = outcome.kind === 'succeeded' ? [outcome.output].flat()[0] : outcome
    expect(file).toMatchObject({ $file: expect.any(String), contentType: 'text/plain' })
    expect(await readFile((file as { $file: string }).$file, 'utf8')).toBe('pixels')
  })

  test.each(['garbage', 'wrong-json', 'flood'])(
    `an answer that is none is a failure (${way}): %s`,
    async (answer) => {
      const { run } = await givenWay()
      expect(await run({ do: answer }).outcome).toMatchObject({
        kind: 'failed',
        code: answer === 'flood' ? 'INVALID_OUTPUT' : expect.stringMatching(/MODEL_ERROR|INVALID_OUTPUT/),
      })
    },
  )

  test(`a connection that is cut is unavailable, and what came of it uncertain: ${way}`, async () => {
    const { run } = await givenWay()
    expect(await run({ do: 'cut' }).outcome).toMatchObject({ kind: 'unavailable', uncertain: true })
  })
}

test('texts that a model yields are parts of one text, over a stream and in the background', async () => {
  const { run } = await givenCog()
  for (const request of [{}, { callback: await givenCallbacks() }]) {
    const { outcome, events } = run({ do: 'stream', text: 'one two three' }, request)
    expect(await outcome).toMatchObject({ kind: 'succeeded', output: 'one two three' })
    expect(textsOf(events)).toEqual(['one ', 'two ', 'three'])
  }
})

test('a model that cannot stream is not asked for a stream twice', async () => {
  const { host, run } = await givenCog({ streaming: false })
  await run({ do: 'succeed' }).outcome
  await run({ do: 'succeed' }).outcome
  expect(host.requests).toEqual([
    'PUT /predictions/prediction-1-1',
    'PUT /predictions/prediction-1-1',
    'PUT /predictions/prediction-2-1',
  ])
})

test('a run begins when the container begins it, and not before', async () => {
  for (const callback of [undefined, await givenCallbacks()]) {
    const { host, run } = await givenCog()
    const { outcome, events } = run({ do: 'slow-start', text: 'x' }, { callback })
    await until(() => host.created() === 1, { what: 'the run in the container' })
    expect(events).toEqual([])
    expect(await outcome).toMatchObject({ kind: 'succeeded', output: 'X' })
    expect(events[0]).toEqual({ kind: 'ready' })
  }
})

test('a run over one request has begun when no refusal comes', async () => {
  const { host, run } = await givenCog({ streaming: false })
  const { ready, outcome } = run({ do: 'hang' })
  await ready
  host.release()
  expect(await outcome).toMatchObject({ kind: 'succeeded', output: 'DONE' })
})

test('a container says why it cannot serve', async () => {
  const { host, run } = await givenCog()
  const reason = async () => (await run({ do: 'succeed' }).outcome) as { reason: string }
  host.becomes('starting')
  expect(await reason()).toMatchObject({ reason: 'The container is still setting its model up.' })
  host.becomes('failed')
  expect(await reason()).toMatchObject({
    reason: 'The container could not set its model up: CUDA out of memory',
    down: true,
  })
  host.becomes('defunct')
  expect(await reason()).toMatchObject({ reason: 'The container is defunct, and must be started again.' })
  await host.close()
  expect(await reason()).toMatchObject({
    reason: expect.stringContaining('could not be reached'),
    down: true,
  })
})

test("the text of Python's Cog for a taken slot is a taken slot", async () => {
  const { run } = await givenCog({ python: true })
  expect(await run({ do: 'busy' }).outcome).toEqual({
    kind: 'unavailable',
    reason: 'The container has no free slot.',
    busy: true,
  })
})

test('an output that does not end is cut off, and its run cancelled', async () => {
  const { host, run } = await givenCog()
  for (const request of [{}, { callback: await givenCallbacks() }]) {
    const { outcome } = run({ do: 'endless' }, request)
    expect(await outcome).toMatchObject({ kind: 'failed', code: 'INVALID_OUTPUT' })
  }
  await until(async () => (await host.cancelled()) === 2, { what: 'both runs to be cancelled' })
})

test('files of an input go along, and URLs are passed on', async () => {
  const { host, run, workDir } = await givenCog()
  const path = join(workDir, 'in.txt')
  await writeFile(path, 'twelve bytes')
  expect(await run({ do: 'take-file', file: path }).outcome).toMatchObject({ output: '12' })
  const data = 'data:text/plain;base64,aGVsbG8='
  expect(await run({ do: 'take-file', file: data }).outcome).toMatchObject({ output: '5' })
  const url = `${host.url}/openapi.json`
  const { byteLength } = await (await fetch(url)).arrayBuffer()
  expect(await run({ do: 'take-file', file: url }).outcome).toMatchObject({ output: String(byteLength) })
})

test('files that a model yields appear one by one, and are the same in the end', async () => {
  const { run } = await givenCog({
    model: { output_schema: { type: 'array', items: { type: 'string', format: 'uri' } } },
  })
  const { outcome, events } = run({ do: 'file', text: 'first second' })
  const made = await outcome
  const files = events.flatMap((event) => (event.kind === 'output' ? [event.delta] : []))
  expect(files).toHaveLength(2)
  expect(made).toMatchObject({
    kind: 'succeeded',
    output: files.map((file) => ({ $file: (file as { file: string }).file, contentType: 'text/plain' })),
  })
})

test('a text that is an address is no file where the model says it makes texts', async () => {
  const { run } = await givenCog({ model: { output_schema: { type: 'string' } } })
  const { outcome } = run({ do: 'stream', text: 'http://example.invalid/x' })
  expect(await outcome).toMatchObject({ kind: 'succeeded', output: 'http://example.invalid/x' })
})

test('a list of texts stays one where the model says so', async () => {
  const { run } = await givenCog({ model: { output_schema: { type: 'array', items: { type: 'string' } } } })
  const { outcome, events } = run({ do: 'stream', text: 'one two' })
  expect(await outcome).toMatchObject({ kind: 'succeeded', output: ['one ', 'two'] })
  expect(textsOf(events)).toEqual([])
})

test('an upload that the store refuses is a failure of the run', async () => {
  const { run } = await givenCog({ files: 'url', uploadUrl: 'http://127.0.0.1:1' })
  expect(await run({ do: 'file', text: 'x' }).outcome).toMatchObject({ kind: 'failed', code: 'MODEL_ERROR' })
})

test('a secret in the address of the container is in nothing that is told', async () => {
  const { host } = await givenCog()
  const url = host.url.replace('//', '//user:hush-hush@')
  const provider = await givenProvider({ ...host.description, provider: { kind: 'cog', url } })
  onTestFinished(() => provider[Symbol.asyncDispose]())
  for (const order of ['succeed', 'fail', 'refuse-input', 'busy', 'down', 'garbage', 'cut', 'file']) {
    const { outcome, events } = provider.run({ do: order, text: 'x' })
    expect(JSON.stringify([await outcome, events])).not.toContain('hush-hush')
  }
  await host.close()
  expect(JSON.stringify(await provider.run({ do: 'succeed' }).outcome)).not.toContain('hush-hush')
})
