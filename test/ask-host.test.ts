import { createAskHost } from '@millrace/providers/remote/ask-host'
import { Failed, Unavailable } from '@millrace/providers/remote/faults'
import { freePort } from '@millrace/standalone/ports'
import { expect, test } from 'vitest'
import { until } from './harness/wait.ts'
import { answer, givenRawHost, jsonAnswer } from './raw-host.ts'

function asking({
  signal = new AbortController().signal,
  ...others
}: Partial<Parameters<typeof createAskHost>[0]> = {}) {
  return createAskHost({ signal, timeoutMs: 10_000, ...others })
}

/** What asking it came to: the fault, whole. */
async function faultOf(asked: Promise<unknown>): Promise<unknown> {
  const fault = await asked.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (fault instanceof Unavailable) return { unavailable: fault.message, ...fault.about }
  if (fault instanceof Failed) return { failed: fault.message, code: fault.code }
  return fault
}

test('a host that takes no connection is down, and did nothing', async () => {
  const url = `http://127.0.0.1:${await freePort()}/`
  const fault = await faultOf(asking()({ url, method: 'POST', json: {} }))
  expect(fault).toEqual({ unavailable: 'The host could not be reached (ECONNREFUSED).', down: true })
})

test('a host whose name nobody knows is down, and did nothing', async () => {
  const fault = await faultOf(asking()({ url: 'http://no-such-host.invalid/', method: 'POST', json: {} }))
  expect(fault).toEqual({ unavailable: expect.stringMatching(/could not be reached/), down: true })
})

test.each([
  { method: 'POST' as const, about: { down: true, uncertain: true } },
  { method: 'GET' as const, about: { down: true } },
])('a connection cut before the answer leaves a $method as uncertain as it is', async ({ method, about }) => {
  const host = await givenRawHost((socket) => socket.destroy())
  const json = method === 'POST' ? { json: {} } : {}
  const fault = await faultOf(asking()({ url: host.url, method, ...json }))
  expect(fault).toEqual({ unavailable: expect.stringMatching(/could not be reached/), ...about })
  expect(host.asked(), 'nothing is repeated here').toBe(1)
})

test('a connection cut in the middle of an answer is no answer', async () => {
  const host = await givenRawHost((socket) => {
    const whole = jsonAnswer(200, { output: 'whole' })
    socket.write(whole.subarray(0, whole.length - 3), () => socket.destroy())
  })
  const fault = await faultOf(asking()({ url: host.url, method: 'POST', json: {} }))
  expect(fault).toMatchObject({ down: true, uncertain: true })
})

test('a host that is silent is given up, and one at work is waited for by who is patient', async () => {
  const silent = await givenRawHost(() => undefined)
  const fault = await faultOf(asking({ timeoutMs: 50 })({ url: silent.url, method: 'POST', json: {} }))
  expect(fault).toEqual({
    unavailable: 'The host did not answer in time (ETIMEDOUT).',
    down: true,
    uncertain: true,
  })

  const halfway = await givenRawHost((socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf')
  })
  expect(await faultOf(asking({ timeoutMs: 50 })({ url: halfway.url }))).toMatchObject({ down: true })

  let speak = () => undefined as unknown
  const slow = await givenRawHost((socket) => {
    speak = () => socket.end(jsonAnswer(200, { done: true }))
  })
  const patient = asking({ timeoutMs: 50 })({ url: slow.url, method: 'POST', json: {}, patient: true })
  await faultOf(asking({ timeoutMs: 100 })({ url: silent.url }))
  speak()
  expect((await patient).body).toEqual({ done: true })
})

test('an abort ends what is asked with its own reason', async () => {
  const host = await givenRawHost(() => undefined)
  const abort = new AbortController()
  const asked = faultOf(asking({ signal: abort.signal })({ url: host.url, patient: true }))
  await until(() => host.asked() === 1, { what: 'the host to be asked' })
  abort.abort('cancel')
  expect(await asked).toBe('cancel')
  await until(() => host.open() === 0, { what: 'the connection to be dropped' })
})

const inAnHour = new Date(Date.now() + 3_600_000).toUTCString()

test.each([
  [429, { 'retry-after': '7' }, { busy: true, retryAfterSeconds: 7 }],
  [429, { 'retry-after': inAnHour }, { busy: true, retryAfterSeconds: expect.closeTo(3600, -2) }],
  [429, { 'retry-after-ms': '250' }, { busy: true, retryAfterSeconds: 0.25 }],
  [429, { 'retry-after': 'soon' }, { busy: true }],
  [429, { 'retry-after': '86400' }, { busy: true, retryAfterSeconds: 3600 }],
  [529, {}, { busy: true }],
  [503, { 'retry-after': '3' }, { down: true, retryAfterSeconds: 3 }],
  [500, {}, { down: true, uncertain: true }],
  [502, {}, { down: true, uncertain: true }],
  [408, {}, { down: true, uncertain: true }],
  [401, {}, {}],
  [402, {}, {}],
  [403, {}, {}],
])('HTTP %i with %o is the fault of the host', async (status, headers, about) => {
  const host = await givenRawHost((socket) => socket.end(jsonAnswer(status, { detail: 'why' }, headers)))
  const fault = await faultOf(asking()({ url: host.url, method: 'POST', json: {} }))
  expect(fault).toEqual({ unavailable: `The host answered HTTP ${status}: why`, ...about })
})

test.each([
  [
    'its own',
    { status: false, error: { message: 'Bad input', fields: [{ path: 'size', message: 'is required' }] } },
    'Bad input; size: is required',
  ],
  [
    "Cog's",
    { detail: [{ loc: ['body', 'input', 'steps'], msg: 'Field required', type: 'x' }] },
    'steps: Field required',
  ],
  [
    "fal's",
    { detail: [{ loc: ['body', 'image', 0], msg: 'Not a URL', type: 'x', url: 'https://docs' }] },
    'image.0: Not a URL',
  ],
  ["fal's own", { detail: 'No such app', error_type: 'bad_request' }, 'No such app'],
  [
    "OpenAI's",
    { error: { message: 'Invalid value', type: 'invalid_request_error', param: 'size', code: null } },
    'size: Invalid value',
  ],
  [
    "Replicate's",
    { title: 'Unprocessable', detail: 'version is required', status: 422 },
    'version is required',
  ],
  ['a bare one', { error: 'too long' }, 'too long'],
  ['a text', 'too long', 'too long'],
  ['an unknown one', { oops: 1 }, ''],
])('a refusal in the shape %s is told in its words', async (_, body, said) => {
  const host = await givenRawHost((socket) => socket.end(jsonAnswer(422, body)))
  const fault = await faultOf(asking()({ url: host.url, method: 'POST', json: {} }))
  expect(fault).toEqual({ failed: `The host answered HTTP 422${said && `: ${said}`}`, code: 'MODEL_ERROR' })
})

test('of a page only the title is told', async () => {
  const page = '<html><head><title>502 Bad Gateway</title></head><body><hr>nginx</body></html>'
  const host = await givenRawHost((socket) => socket.end(answer(502, { 'content-type': 'text/html' }, page)))
  expect(await faultOf(asking()({ url: host.url }))).toMatchObject({
    unavailable: 'The host answered HTTP 502: 502 Bad Gateway',
  })
})

test.each([
  { error: { code: 'content_policy_violation', message: 'Not this' } },
  { error: { code: 'moderation_blocked', message: 'Not this' } },
  { detail: [{ type: 'content_policy_violation', msg: 'Not this', loc: ['body', 'prompt'] }] },
])('a refusal of the content is told as one: %o', async (body) => {
  const host = await givenRawHost((socket) => socket.end(jsonAnswer(400, body)))
  const fault = await faultOf(asking()({ url: host.url, method: 'POST', json: {} }))
  expect(fault).toMatchObject({ failed: expect.stringMatching(/Not this/), code: 'CONTENT_POLICY_VIOLATION' })
})

test('an answer that is too large is not read to its end', async () => {
  const host = await givenRawHost((socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n')
    const flood = () => {
      while (!socket.destroyed && socket.write('x'.repeat(65_536)));
    }
    socket.on('drain', flood)
    flood()
  })
  const fault = await faultOf(asking({ maxAnswerBytes: 1 << 20 })({ url: host.url }))
  expect(fault).toEqual({ failed: "The host's answer is larger than 1 MB.", code: 'INVALID_OUTPUT' })
  await until(() => host.open() === 0, { what: 'the connection to be dropped' })
})

test('what is said to be JSON and is none is a failure, and a text is a text', async () => {
  const host = await givenRawHost((socket, connection) => {
    const type = connection === 1 ? 'application/json' : 'text/plain'
    socket.end(answer(200, { 'content-type': type }, '{"outp'))
  })
  expect(await faultOf(asking()({ url: host.url }))).toMatchObject({ code: 'INVALID_OUTPUT' })
  expect((await asking()({ url: host.url })).body).toBe('{"outp')
})

test('a redirect is followed at home and nowhere else, and never by what changes something', async () => {
  const elsewhere = await givenRawHost((socket) => socket.end(jsonAnswer(200, 'the key, please')))
  const host = await givenRawHost((socket, connection) => {
    const next = ['/home', elsewhere.url, '/home'][connection - 1]
    socket.end(next && connection !== 2 ? answer(307, { location: next }, '') : jsonAnswer(200, 'at home'))
  })
  const headers = { 'x-api-key': 'secret' }
  expect((await asking()({ url: host.url, headers })).body).toBe('at home')
  const posted = await faultOf(asking()({ url: host.url, method: 'POST', json: {}, headers }))
  expect(posted).toMatchObject({ failed: expect.stringMatching(/HTTP 307, and leads elsewhere/) })

  const leading = await givenRawHost((socket) => socket.end(answer(302, { location: elsewhere.url }, '')))
  const led = await faultOf(asking()({ url: leading.url, headers }))
  expect(led).toMatchObject({ failed: expect.stringMatching(/leads elsewhere/) })
  expect(elsewhere.asked()).toBe(0)
})

test.each(['POST', 'PUT', 'PATCH', 'DELETE'] as const)('a %s needs no body', async (method) => {
  const host = await givenRawHost((socket, _, first) => socket.end(jsonAnswer(200, first.split(' ')[0])))
  expect((await asking()({ url: host.url, method })).body).toBe(method)
})

test('parts of an answer are there as they come', async () => {
  let finish = () => undefined as unknown
  const host = await givenRawHost((socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\none')
    finish = () => socket.end('two')
  })
  const heard: string[] = []
  for await (const chunk of asking().stream({ url: host.url })) {
    heard.push(Buffer.from(chunk).toString())
    finish()
  }
  expect(heard).toEqual(['one', 'two'])
})
