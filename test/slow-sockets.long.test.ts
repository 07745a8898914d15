import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { createHttpServer } from '@millrace/api/http-server'
import { expect, onTestFinished, test } from 'vitest'
import { type ApiCaller, callerOf } from './api-caller.ts'
import { startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

test('a thousand slow sockets hold nobody up, and the bodies are answered when they come to an end', async () => {
  const service = await startService({ queue: 'redis', apis: 2, dispatchers: 0 })
  onTestFinished(() => service.stop())
  const call = callerOf(service.url, service.apiKey)
  const without = callerOf(service.urls[1] ?? '', service.apiKey)
  const post = (path: string, body: string) =>
    `POST ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-api-key: ${service.apiKey}\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  const open = (count: number, request: string) =>
    Promise.all(Array.from({ length: count }, () => openSlow(service.url, request)))
  const heads = await open(500, `GET /v1/models HTTP/1.1\r\nhost: a\r\nx-slow: ${'x'.repeat(50)}`)
  const refused = await open(400, post('/v1/run', '{"model":"none","inputs":{"from":"a slow socket"}}'))
  const creates = await open(
    100,
    post('/v1/predictions', '{"model":"echo","input":{"from":"a slow socket"}}'),
  )

  for (let round = 0; round < 8; round++) {
    for (const one of [...heads, ...refused, ...creates]) one.drip()
    const made = await call('POST /v1/predictions', {
      body: { model: 'echo', input: { round }, await: true },
    })
    expect(made).toMatchObject({ status: 200, body: { status: 'succeeded', output: { round } } })
  }

  const slow = [...heads, ...refused, ...creates]
  const rounds: Round[] = []
  while (!isDecided(rounds)) rounds.push(await compare(call, without, slow))
  expect(rounds, 'the p99 of two rounds').toSatisfy((all: Round[]) => all.filter(isAlike).length === 2)

  const answersOf = async (slow: SlowSocket[]) =>
    new Set(await Promise.all(slow.map(async (one) => (await one.finish()).split('\r\n')[0])))
  expect(await answersOf(refused)).toEqual(new Set(['HTTP/1.1 404 Not Found']))
  expect(await answersOf(creates)).toEqual(new Set(['HTTP/1.1 201 Created']))
  const total = 108 + rounds.length * visits * 2
  await until(
    async () => (await call('GET /v1/predictions?status=succeeded')).body.pagination.total === total,
    { within: 60_000, what: 'the predictions of the slow sockets and of all others to end' },
  )
}, 240_000)

/**
 * The p99 of an api that has slow sockets, and of one that has none. A time by itself says nothing on a busy machine, so
 * both are asked the same at the same moment: what slows the machine or the database down slows both down, and the slow
 * sockets only one.
 */
async function compare(held: ApiCaller, free: ApiCaller, slow: SlowSocket[]): Promise<Round> {
  const took: Round[] = []
  for (let n = 0; n < visits; n++) {
    // All of them send a character four times in a round.
    for (const one of slow.slice((n % 100) * 10, (n % 100) * 10 + 10)) one.drip()
    const [first, second] = n % 2 === 0 ? [held, free] : [free, held]
    const [one, other] = await Promise.all([visit(first), visit(second)])
    took.push(n % 2 === 0 ? { held: one, free: other } : { held: other, free: one })
  }
  const p99 = (times: number[]) => times.sort((a, b) => a - b).at(-Math.ceil(visits / 100)) ?? 0
  return { held: p99(took.map((one) => one.held)), free: p99(took.map((one) => one.free)) }
}

/**
 * Two rounds of three decide, since the four slowest visits of a round are partly luck. Measured, without any slack
 * beside the factor: 0.7 to 1.6 times as long with rounds of 500, at loads of 4 and of 20 on two
 * processors; over twice in one round of 50 with rounds of 300 at that load, and in one of 200 with rounds of 500.
 */
const isDecided = (rounds: Round[]): boolean =>
  [true, false].some((alike) => rounds.filter((round) => isAlike(round) === alike).length === 2)
const isAlike = ({ held, free }: Round): boolean => held <= 2 * free
const visits = 400

/** Creates a prediction and looks at it; how long that took. */
async function visit(call: ApiCaller): Promise<number> {
  const began = performance.now()
  const { status, body } = await call('POST /v1/predictions', { body: { model: 'echo', input: {} } })
  expect(status).toBe(201)
  expect((await call(`GET /v1/predictions/${body.id}`)).status).toBe(200)
  return performance.now() - began
}

/** Milliseconds. */
interface Round {
  held: number
  free: number
}

test.each([
  ['head', { headSeconds: 0.2 }, 'GET / HTTP/1.1\r\nhost: a\r\nx-slow: '],
  [
    'body',
    { headSeconds: 0.2, requestSeconds: 0.2 },
    'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{',
  ],
])('a %s that never ends is cut off with 408 in JSON', async (_, limits, beginning) => {
  const server = createHttpServer((request) => request.resume(), limits).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const slow = await openSlow(
    `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    `${beginning}${'x'.repeat(50)}`,
  )

  const [head = '', body = ''] = (await slow.reply).split('\r\n\r\n')

  expect(head).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\ncontent-type: application\/json/)
  expect(JSON.parse(body)).toMatchObject({ error: { error_id: 'REQUEST_TIMEOUT', retryable: true } })
})

/** Connects and sends a request but for its last 30 characters, of which each drip sends one. */
async function openSlow(url: string, request: string): Promise<SlowSocket> {
  const { hostname, port } = new URL(url)
  const socket: Socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  // A head may have had its minute before the test is through.
  socket.on('error', () => {})
  const reply = text(socket)
  reply.catch(() => {})
  socket.write(request.slice(0, -30))
  let left = request.slice(-30)
  const send = (count: number) => {
    socket.write(left.slice(0, count))
    left = left.slice(count)
  }
  return {
    reply,
    drip: () => send(1),
    finish() {
      send(left.length)
      return reply
    },
  }
}

interface SlowSocket {
  /** All that is answered until the server hangs up. */
  reply: Promise<string>
  drip(): void
  finish(): Promise<string>
}
