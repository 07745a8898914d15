import { readFile } from 'node:fs/promises'
import Replicate from 'replicate'
import { expect, onTestFinished, test } from 'vitest'
import { startReceiver } from './harness/receiver.ts'
import { until } from './harness/wait.ts'
import { openHost, token, version } from './hosts/replicate.ts'
import { givenCallback, isReady, openRuns, shownParts } from './remote-run.ts'
import { logOf } from './run-model.ts'

type HostOptions = Parameters<typeof openHost>[0]

async function given(options: HostOptions = {}, silence?: number) {
  const host = await openHost(options)
  onTestFinished(() => host.close())
  const runs = await openRuns(host.description, silence === undefined ? {} : { timeoutMs: silence })
  return { host, ...runs }
}

test('the fake is honest: the official client runs, waits, streams, uploads and cancels there', async () => {
  const { host } = await given()
  const client = new Replicate({ auth: token, baseUrl: host.url, useFileOutput: false })
  const wait = { mode: 'poll', interval: 20 } as const

  expect(await client.run('acme/everything', { input: { do: 'succeed', text: 'hi' }, wait })).toBe('HI')
  expect(await client.run(`acme/everything:${version}`, { input: { do: 'succeed', text: 'yo' } })).toBe('YO')
  const words: string[] = []
  for await (const event of client.stream('acme/everything', { input: { do: 'stream', text: 'a b' } })) {
    words.push(String(event))
  }
  expect(words.join('')).toBe('a b')
  const file = Buffer.alloc(300_000)
  expect(await client.run('acme/everything', { input: { do: 'take-file', file }, wait })).toBe('300000')
  await expect(client.run('acme/everything', { input: { do: 'fail', text: 'oh no' }, wait })).rejects.toThrow(
    'Prediction failed: oh no',
  )
  await expect(client.run('acme/everything', { input: { do: 'refuse-input' } })).rejects.toThrow(/422/)
  const { id } = await client.predictions.create({ model: 'acme/everything', input: { do: 'hang' } })
  expect((await client.predictions.cancel(id)).status).toBe('canceled')
  const stranger = new Replicate({ auth: 'r8_wrong', baseUrl: host.url })
  await expect(stranger.predictions.get(id)).rejects.toThrow(/401/)
})

test.each([
  ['acme/everything', '/v1/models/acme/everything/predictions', undefined],
  [`acme/everything:${version}`, '/v1/predictions', version],
  [version, '/v1/predictions', version],
  ['deployments/acme/mine', '/v1/deployments/acme/mine/predictions', undefined],
])('%s is created where it belongs', async (model, path, sent) => {
  const { host, start } = await given({ provider: { model } })
  expect(await start({ do: 'succeed', text: 'hi' }).outcome).toMatchObject({ output: 'HI' })
  const created = host.asked.find(({ method }) => method === 'POST')
  expect(created?.path).toBe(path)
  expect(JSON.parse(String(created?.body)).version).toBe(sent)
})

test('a text is shown word by word as it is written, and whole at the end', async () => {
  const { start } = await given()
  const { outcome, events } = start({ do: 'stream', text: 'one two three' })
  expect(await outcome).toMatchObject({ kind: 'succeeded', output: 'one two three' })
  expect(shownParts(events).length).toBeGreaterThan(1)
  expect(shownParts(events).join('')).toBe('one two three')
})

test('where a model does not stream, its logs and its progress are seen by looking', async () => {
  const { host, start } = await given({ streams: false })
  const { outcome, events } = start({ do: 'progress', text: 'done' })
  expect(await outcome).toMatchObject({ kind: 'succeeded', output: 'DONE' })
  expect(logOf(events)).toMatch(/^ 25%.*\n 50%.*\n 100%.*\n$/)
  expect(events).toContainEqual({ kind: 'progress', percent: expect.any(Number) })
  expect(host.asked.filter(({ path }) => path.includes('/stream/'))).toEqual([])
})

test('a webhook tells of the end, and one that stays silent loses nothing', async () => {
  const { host, start } = await given({ streams: false })
  const callback = await givenCallback()
  const heard = start({ do: 'log', text: 'by webhook' }, { callback })
  expect(await heard.outcome).toMatchObject({ kind: 'succeeded', output: 'BY WEBHOOK' })
  expect(callback.heard()).toBeGreaterThan(0)

  const silent = { url: 'http://127.0.0.1:9/', listen: () => () => undefined }
  expect(await start({ do: 'succeed', text: 'still' }, { callback: silent }).outcome).toMatchObject({
    output: 'STILL',
  })
  expect(host.created()).toBe(2)
})

test('pictures are an array of files in the work folder, for one as well', async () => {
  const { start } = await given({ streams: false, model: { type: 'image' } })
  const run = start({ do: 'file', text: 'a picture' })
  const outcome = await run.outcome
  expect(outcome).toMatchObject({ kind: 'succeeded', output: [{ contentType: 'text/plain' }] })
  const [{ $file }] = (outcome as unknown as { output: [{ $file: string }] }).output
  expect($file.startsWith(run.workDir)).toBe(true)
  expect(await readFile($file, 'utf8')).toBe('a picture')
})

test('a link that a text model writes stays a text', async () => {
  const { start } = await given({ model: { type: 'text' } })
  const { outcome } = start({ do: 'stream', text: 'https://example.com/nothing-here' })
  expect(await outcome).toMatchObject({ kind: 'succeeded', output: 'https://example.com/nothing-here' })
})

test.each([
  [
    { do: 'refuse-input' },
    { kind: 'failed', code: 'MODEL_ERROR', detail: expect.stringContaining('input.text') },
  ],
  [{ do: 'policy' }, { kind: 'failed', code: 'CONTENT_POLICY_VIOLATION' }],
  [{ do: 'busy' }, { kind: 'unavailable', busy: true, retryAfterSeconds: 7 }],
  [{ do: 'poor' }, { kind: 'unavailable', reason: expect.stringContaining('insufficient credit') }],
  [{ do: 'down' }, { kind: 'unavailable', down: true }],
  [{ do: 'cut' }, { kind: 'unavailable', uncertain: true }],
  [{ do: 'garbage' }, { kind: 'failed', code: 'MODEL_ERROR' }],
  [
    { do: 'fail', text: 'Prediction interrupted; please retry (code: PA)' },
    { kind: 'unavailable', uncertain: true },
  ],
])('what it answers to %j is told in the words of the service', async (input, outcome) => {
  const { start } = await given()
  expect(await start(input).outcome).toMatchObject(outcome)
})

test.each([
  [{ model: 'acme/unknown' }, /no model acme\/unknown/],
  [{ model: '0'.repeat(64) }, /does not exist/],
  [{ token: 'r8_wrong' }, /HTTP 401.*valid authentication token/],
])('settings that are wrong (%j) are nobody else’s fault', async (provider, reason) => {
  const { host, start } = await given({ provider })
  const outcome = await start({ do: 'succeed' }).outcome
  expect(outcome).toMatchObject({ kind: 'unavailable', reason: expect.stringMatching(reason) })
  expect(JSON.stringify(outcome)).not.toContain('r8_')
  expect(host.created()).toBe(0)
})

test.each(['cancel', 'run-timeout'])('on %s the prediction is cancelled there', async (reason) => {
  const { host, start } = await given()
  const run = start({ do: 'hang' })
  await until(() => isReady(run), { what: 'the work to begin' })
  run.abort(reason)
  expect(await run.outcome).toEqual({ kind: 'aborted' })
  expect(await host.cancelled()).toBe(1)
})

test('a run that is cancelled while its prediction is created leaves none at work', async () => {
  const { host, start } = await given()
  const run = start({ do: 'late-answer' })
  await until(() => host.created() === 1, { what: 'the prediction to be made' })
  run.abort('cancel')
  expect(await run.outcome).toEqual({ kind: 'aborted' })
  expect([host.created(), await host.cancelled()]).toEqual([1, 1])
})

test('a prediction whose id cannot be kept is cancelled, for nobody would take it up', async () => {
  const { host, start } = await given()
  const keeping = async () => {
    run.abort('lost')
    throw new Error('The run is another worker’s')
  }
  const run = start({ do: 'hang' }, { keeping })
  expect(await run.outcome).toEqual({ kind: 'aborted' })
  expect([host.created(), await host.cancelled()]).toEqual([1, 1])
})

test.each(['drain', 'lost'])('after %s the next worker takes the prediction up', async (reason) => {
  const { host, start } = await given()
  const first = start({ do: 'hang' })
  await until(() => isReady(first), { what: 'the work to begin' })
  first.abort(reason)
  expect(await first.outcome).toEqual({ kind: 'aborted' })

  const second = start({ do: 'hang' }, { job: first.kept.at(-1) })
  await until(() => isReady(second), { what: 'the prediction to be taken up' })
  host.release()
  expect(await second.outcome).toMatchObject({ kind: 'succeeded', output: 'DONE' })
  expect([host.created(), await host.cancelled()]).toEqual([1, 0])
})

test('a worker that goes while its prediction is created still keeps what it is called', async () => {
  const { host, start } = await given()
  const first = start({ do: 'late-answer' })
  await until(() => host.created() === 1, { what: 'the prediction to be made' })
  first.abort('drain')
  expect(await first.outcome).toEqual({ kind: 'aborted' })
  host.release()
  expect(await start({ do: 'hang' }, { job: first.kept.at(-1) }).outcome).toMatchObject({ output: 'DONE' })
  expect([host.created(), await host.cancelled()]).toEqual([1, 0])
})

test('a prediction that ended while no worker looked is read, whichever way it ended', async () => {
  for (const end of ['succeeded', 'failed'] as const) {
    const { host, start } = await given()
    const first = start({ do: 'hang' })
    await until(() => isReady(first), { what: 'the work to begin' })
    first.abort('drain')
    await first.outcome
    if (end === 'failed') host.end('failed', 'out of paint')
    else host.release()
    const second = await start({ do: 'hang' }, { job: first.kept.at(-1) }).outcome
    expect(second).toMatchObject(
      end === 'failed' ? { kind: 'failed', detail: 'out of paint' } : { kind: 'succeeded', output: 'DONE' },
    )
    expect(host.created()).toBe(1)
  }
})

test.each(['it was forgotten', 'its output was removed', 'it was never started'])(
  'a prediction without a result is given up, and the next attempt makes another: %s',
  async (why) => {
    const { host, start } = await given()
    const first = start({ do: why === 'it was never started' ? 'slow-start' : 'hang' })
    await until(() => first.kept.length > 0, { what: 'the prediction to be made' })
    first.abort('drain')
    await first.outcome
    if (why === 'it was forgotten') host.forget()
    else if (why === 'it was never started') host.end('aborted')
    host.release()
    if (why === 'its output was removed') {
      await until(() => host.ended() === 1, { what: 'the prediction to end' })
      host.removeData()
    }
    const second = start({ do: 'hang' }, { job: first.kept.at(-1) })
    const about = why === 'it was never started' ? { busy: true } : { uncertain: true }
    expect(await second.outcome).toMatchObject({ kind: 'unavailable', jobIsOver: true, ...about })

    expect(await start({ do: 'hang' }).outcome).toMatchObject({ kind: 'succeeded', output: 'DONE' })
    expect(host.created()).toBe(2)
  },
)

test('the token goes to the host of the settings only, whatever its answers name', async () => {
  const stranger = await startReceiver({ body: '{}' })
  onTestFinished(() => stranger.close())
  const { host, start } = await given({ urlsAt: stranger.url.replace(/\/$/, '') })
  const run = start({ do: 'hang' })
  await until(() => isReady(run), { what: 'the work to begin' })
  run.abort('cancel')
  expect(await run.outcome).toEqual({ kind: 'aborted' })
  expect(await host.cancelled()).toBe(1)
  expect(stranger.requests).toEqual([])
})

test('the token does not follow a redirect to another host', async () => {
  const stranger = await startReceiver({ body: '{}' })
  onTestFinished(() => stranger.close())
  const { start } = await given({ redirects: stranger.url.replace(/\/$/, '') }, 300)
  const { kind } = await start({ do: 'succeed' }).outcome
  expect(kind).not.toBe('succeeded')
  expect(stranger.requests.filter(({ headers }) => headers.authorization)).toEqual([])
})

test.each(['flux', 'acme/everything/deluxe', 'https://replicate.com/acme/everything'])(
  'a description cannot name the model %s',
  async (model) => {
    await expect(openHost({ provider: { model } })).rejects.toThrow(/provider.model: must be owner\/name/)
  },
)

test('the stream is opened without the token', async () => {
  const { host, start } = await given()
  await start({ do: 'stream', text: 'a b' }).outcome
  const streams = host.asked.filter(({ path }) => path.includes('/stream/'))
  expect(streams.map(({ headers }) => headers.authorization)).toEqual([undefined])
})
