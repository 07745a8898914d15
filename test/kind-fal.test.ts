import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createFalClient } from '@fal-ai/client'
import { expect, onTestFinished, test } from 'vitest'
import { startReceiver } from './harness/receiver.ts'
import { until } from './harness/wait.ts'
import { key, openHost } from './hosts/fal.ts'
import { givenCallback, isReady, openRuns } from './remote-run.ts'
import { logOf } from './run-model.ts'

type HostOptions = Parameters<typeof openHost>[0]

async function given(options: HostOptions = {}, timeoutMs?: number) {
  const host = await openHost(options)
  onTestFinished(() => host.close())
  const runs = await openRuns(host.description, timeoutMs === undefined ? {} : { timeoutMs })
  return { host, ...runs }
}

test('the fake is honest: the official client submits, follows, uploads, reads results and cancels there', async () => {
  const { host } = await given()
  const client = createFalClient({
    credentials: key,
    retry: { maxRetries: 0 },
    requestMiddleware: async (request) => ({
      ...request,
      url: request.url.replace(/^https:\/\/(queue\.fal\.run|rest\.fal\.ai)/, host.url),
    }),
  })
  const app = 'acme/everything/deluxe'
  const polled = { pollInterval: 20, logs: true } as const

  const statuses: string[] = []
  const done = await client.subscribe(app, {
    input: { do: 'log', text: 'hi' },
    ...polled,
    onQueueUpdate: ({ status }) => void statuses.push(status),
  })
  expect(done).toEqual({ data: { output: 'HI' }, requestId: expect.stringMatching(/^[\w-]{36}$/) })
  expect(statuses.at(-1)).toBe('COMPLETED')
  const lines: string[] = []
  await client.subscribe(app, {
    input: { do: 'log', text: 'streamed' },
    mode: 'streaming',
    logs: true,
    onQueueUpdate: (update) => {
      if ('logs' in update) lines.push(...(update.logs ?? []).map(({ message }) => message))
    },
  })
  expect(lines).toContain('streamed')
  const file = new Blob([Buffer.alloc(300_000)], { type: 'image/png' })
  expect((await client.subscribe(app, { input: { do: 'take-file', file }, ...polled })).data).toEqual({
    output: '300000',
  })
  const refused = client.subscribe(app, { input: { do: 'refuse-input' }, ...polled })
  await expect(refused).rejects.toMatchObject({ name: 'ValidationError', status: 422 })
  const { request_id: requestId } = await client.queue.submit(app, { input: { do: 'hang' } })
  await client.queue.cancel(app, { requestId })
  expect(await host.cancelled()).toBe(1)
  await expect(client.queue.cancel(app, { requestId })).rejects.toMatchObject({ status: 400 })
})

test.each([
  ['acme/everything', '/acme/everything', '/acme/everything'],
  ['acme/everything/deluxe/v2', '/acme/everything/deluxe/v2', '/acme/everything'],
  ['workflows/acme/everything', '/workflows/acme/everything', '/workflows/acme/everything'],
])('%s is submitted whole and asked after by its app', async (model, submitted, app) => {
  const { host, start } = await given({ provider: { model } })
  expect(await start({ do: 'succeed', text: 'hi' }).outcome).toMatchObject({ output: 'HI' })
  const [first, ...others] = host.asked.map(({ path }) => path)
  expect(first).toBe(submitted)
  for (const path of others) expect(path.startsWith(`${app}/requests/`)).toBe(true)
})

test('logs are told once each, with the progress that they show, and the time that the work took', async () => {
  const { start } = await given()
  const { outcome, events } = start({ do: 'progress', text: 'done' })
  expect(await outcome).toEqual({ kind: 'succeeded', output: 'DONE', predictSeconds: 0.5 })
  expect(logOf(events)).toMatch(/^ 25%.*\n 50%.*\n 100%.*\n$/)
  expect(events).toContainEqual({ kind: 'progress', percent: expect.any(Number) })
})

test('it is ready when it leaves the queue', async () => {
  const { host, start } = await given()
  const run = start({ do: 'slow-start', text: 'late' })
  const looks = () => host.asked.filter(({ path }) => path.endsWith('/status')).length
  await until(() => looks() > 1, { what: 'the queue to be looked at' })
  expect(isReady(run)).toBe(false)
  host.release()
  expect(await run.outcome).toMatchObject({ kind: 'succeeded', output: 'LATE' })
  expect(isReady(run)).toBe(true)
})

test('a webhook tells of the end in place of the stream, and one that stays silent loses nothing', async () => {
  const { host, start } = await given()
  const callback = await givenCallback()
  const heard = start({ do: 'log', text: 'by webhook' }, { callback })
  expect(await heard.outcome).toMatchObject({ kind: 'succeeded', output: 'BY WEBHOOK' })
  await until(() => callback.heard() === 1, { what: 'the webhook' })

  const silent = { url: 'http://127.0.0.1:9/', listen: () => () => undefined }
  const { outcome } = start({ do: 'succeed', text: 'still' }, { callback: silent })
  expect(await outcome).toMatchObject({ output: 'STILL' })
  expect(host.asked.filter(({ path }) => path.endsWith('/stream'))).toEqual([])
})

test('a file is uploaded with its type and without the key', async () => {
  const { host, start, folder } = await given()
  const file = join(folder, 'large.png')
  await writeFile(file, Buffer.alloc(300_000))
  expect(await start({ do: 'take-file', file }).outcome).toMatchObject({ output: '300000' })
  const put = host.asked.find(({ method }) => method === 'PUT')
  expect(put?.headers).toMatchObject({ 'content-type': 'image/png' })
  expect(put?.headers.authorization).toBeUndefined()
})

test('pictures are an array of files in the work folder; a stated object comes whole, with its files', async () => {
  const { start } = await given({ model: { type: 'image' } })
  const run = start({ do: 'file', text: 'a picture' })
  const outcome = await run.outcome
  expect(outcome).toMatchObject({ output: [{ name: 'made.txt', contentType: 'text/plain' }] })
  const [{ $file }] = (outcome as unknown as { output: [{ $file: string }] }).output
  expect($file.startsWith(run.workDir)).toBe(true)
  expect(await readFile($file, 'utf8')).toBe('a picture')

  const images = {
    type: 'array',
    items: { type: 'object', properties: { url: { type: 'string', format: 'uri' } } },
  }
  const output_schema = { type: 'object', properties: { images } }
  const whole = await given({ model: { type: 'image', output_schema } })
  expect(await whole.start({ do: 'file', text: 'a picture' }).outcome).toMatchObject({
    output: { images: [{ url: { $file: expect.any(String) }, width: 4, height: 3 }], seed: 7 },
  })
})

test.each([
  [
    { do: 'refuse-input' },
    { kind: 'failed', code: 'MODEL_ERROR', detail: 'text: String should match pattern' },
  ],
  [
    { do: 'fail', text: 'out of paint' },
    { kind: 'failed', code: 'MODEL_ERROR', detail: 'out of paint' },
  ],
  [{ do: 'policy' }, { kind: 'failed', code: 'CONTENT_POLICY_VIOLATION' }],
  [{ do: 'busy' }, { kind: 'unavailable', busy: true }],
  [{ do: 'poor' }, { kind: 'unavailable', reason: expect.stringContaining('Exhausted balance') }],
  [{ do: 'down' }, { kind: 'unavailable', down: true }],
  [{ do: 'cut' }, { kind: 'unavailable', uncertain: true }],
  [{ do: 'garbage' }, { kind: 'failed', code: 'MODEL_ERROR' }],
])('what it answers to %j is told in the words of the service', async (input, outcome) => {
  const { start } = await given()
  expect(await start(input).outcome).toMatchObject(outcome)
})

test.each([
  [503, { detail: 'No runner', error_type: 'runner_scheduling_failure' }, {}, { busy: true }],
  [504, { detail: 'Too slow', error_type: 'startup_timeout' }, {}, { kind: 'unavailable' }],
  [503, { detail: 'Gone', error_type: 'runner_disconnected' }, {}, { uncertain: true }],
  [500, { detail: 'Internal Server Error' }, {}, { kind: 'unavailable', uncertain: true }],
  [500, { detail: [{ loc: ['body'], msg: 'Bug', type: 'x' }] }, {}, { kind: 'failed', detail: 'Bug' }],
  [
    500,
    { detail: [{ loc: ['body'], msg: 'Again', type: 'x' }] },
    { 'x-fal-needs-retry': '1' },
    { kind: 'unavailable' },
  ],
])('a request that ends with HTTP %i %j %j', async (status, body, headers, outcome) => {
  const { host, start } = await given()
  const run = start({ do: 'hang' })
  await until(() => isReady(run), { what: 'the work to begin' })
  host.end(status, body, headers as Record<string, string>)
  expect(await run.outcome).toMatchObject(outcome)
  // Where it is worth another try, that is another request.
  const ended = await run.outcome
  expect('jobIsOver' in ended).toBe(ended.kind === 'unavailable')
})

test.each([
  [{ model: 'acme/unknown' }, /no model acme\/unknown/],
  [{ key: 'wrong:secret-of-fal' }, /HTTP 401.*Authentication is required/],
])('settings that are wrong (%j) are nobody else’s fault', async (provider, reason) => {
  const { host, start } = await given({ provider })
  const outcome = await start({ do: 'succeed' }).outcome
  expect(outcome).toMatchObject({ kind: 'unavailable', reason: expect.stringMatching(reason) })
  expect(JSON.stringify(outcome)).not.toContain('secret-of-fal')
  expect(host.created()).toBe(0)
})

test.each([
  ['hang', 'cancel'],
  ['slow-start', 'run-timeout'],
  ['late-answer', 'cancel'],
])('a request (%s) is cancelled there on %s', async (what, reason) => {
  const { host, start } = await given()
  const run = start({ do: what })
  await until(() => host.created() === 1, { what: 'the request to be made' })
  run.abort(reason)
  expect(await run.outcome).toEqual({ kind: 'aborted' })
  expect([host.created(), await host.cancelled()]).toEqual([1, 1])
})

test.each(['still at work', 'done', 'failed', 'forgotten'])(
  'the next worker takes up the request of one that went away: it is %s by then',
  async (state) => {
    const { host, start } = await given()
    const first = start({ do: 'hang' })
    await until(() => isReady(first), { what: 'the work to begin' })
    first.abort('drain')
    expect(await first.outcome).toEqual({ kind: 'aborted' })
    if (state === 'done') host.release()
    if (state === 'failed') host.end(400, { detail: 'out of paint' })
    if (state === 'forgotten') host.forget()

    const second = start({ do: 'hang' }, { job: first.kept.at(-1) })
    if (state === 'still at work') {
      await until(() => isReady(second), { what: 'the request to be taken up' })
      host.release()
    }
    expect(await second.outcome).toMatchObject(
      {
        failed: { kind: 'failed', detail: 'out of paint' },
        forgotten: { kind: 'unavailable', uncertain: true, jobIsOver: true },
      }[state] ?? { kind: 'succeeded', output: 'DONE' },
    )
    expect([host.created(), await host.cancelled()]).toEqual([1, 0])
  },
)

test('the key goes to the host of the settings only, whatever its answers name', async () => {
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
