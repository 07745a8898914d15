import { type HostWatch, watchHosts } from '@millrace/hosts/host-watch'
import { readHosts } from '@millrace/hosts/hosts'
import type { ChatChunk, ChatRequest } from '@millrace/inference/chat'
import type { InferenceFault } from '@millrace/inference/fault'
import { createRouter, type Router } from '@millrace/inference/route'
import { newRouteReport, type RouteReport } from '@millrace/inference/route-report'
import { describeSettings, type ModelDescription } from '@millrace/models/description'
import { hostNameOf } from '@millrace/models/host-name'
import { createLog } from '@millrace/process/log'
import { freePort } from '@millrace/standalone/ports'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { until } from './harness/wait.ts'
import {
  type ChatHost,
  type ChatScript,
  chunk,
  chunked,
  completion,
  event,
  givenChatHost,
  head,
  hello,
  reset,
  whole,
} from './hosts/chat.ts'
import { blocksOf, freePorts, type Ports } from './pages.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.drop())

const well = chunked(...hello)
const broken = whole(500, { error: { message: 'it broke' } })
const opening = [
  head(200, { 'content-type': 'text/event-stream' }),
  event(chunk({ content: 'Hello' })),
] as const

test('requests one after the other take turns by the weights of the hosts', async () => {
  const [a, b] = [await givenChatHost(well), await givenChatHost(well)]
  const { say } = givenRouter({ talker: at([{ base_url: a.url, weight: 2 }, { base_url: b.url }]) })
  for (let n = 0; n < 6; n += 1) await say()
  expect([a.asked.length, b.asked.length]).toEqual([4, 2])
})

test('requests at a time go to the host that has least to do for its weight', async () => {
  const [a, b] = [await givenChatHost(opening), await givenChatHost(opening)]
  const { begin } = givenRouter({ talker: at([{ base_url: a.url, weight: 3 }, { base_url: b.url }]) })
  const begun = []
  for (let n = 0; n < 8; n += 1) begun.push(await begin())
  expect([a.asked.length, b.asked.length]).toEqual([6, 2])

  await begun.find(({ report }) => report.served?.host === hostNameOf(b.url))?.chunks.return()
  await begin()

  expect([a.asked.length, b.asked.length]).toEqual([6, 3])
})

test('a host that fails before the first chunk costs a client nothing: the next one is asked at once', async () => {
  const [a, b] = [await givenChatHost([reset]), await givenChatHost(well)]
  const { say } = givenRouter({ talker: at([{ base_url: a.url }, { base_url: b.url }]) })
  const { text, report } = await say()
  expect(text).toBe('Hello mill')
  expect(report).toMatchObject({
    tries: [
      { host: hostNameOf(a.url), model: 'talker', fault: { errorId: 'INFERENCE_ERROR' } },
      { host: hostNameOf(b.url), model: 'talker', firstMs: expect.any(Number) },
    ],
    served: { host: hostNameOf(b.url), model: 'talker' },
  })
})

test('nothing is tried again once a chunk was handed on', async () => {
  const [a, b] = [await givenChatHost([...opening, reset]), await givenChatHost(well)]
  const { begin } = givenRouter({ talker: at([{ base_url: a.url, weight: 2 }, { base_url: b.url }]) })
  const { chunks, report } = await begin()
  await expect(all(chunks)).rejects.toMatchObject({ errorId: 'INFERENCE_ERROR' })
  expect(b.asked).toHaveLength(0)
  expect(report.tries).toMatchObject([{ fault: { errorId: 'INFERENCE_ERROR' }, firstMs: expect.any(Number) }])
})

test('a request that is at fault itself is not tried anywhere else', async () => {
  const refuses = await givenChatHost(whole(400, { error: { message: 'no', param: 'top_p' } }))
  const other = await givenChatHost(well)
  const { say } = givenRouter({
    talker: { ...at([{ base_url: refuses.url }]), fallbacks: ['spare'] },
    spare: at([{ base_url: other.url }]),
  })
  await expect(say()).rejects.toMatchObject({ errorId: 'INVALID_PARAMETER', about: { param: 'top_p' } })
  expect([refuses.asked.length, other.asked.length]).toEqual([1, 0])
})

test('a lone host is asked again, as often as the model says, sooner than it would be patient for', async () => {
  const host = await givenChatHost(whole(429, '', { 'retry-after-ms': '20' }))
  const { say } = givenRouter({ talker: { ...at([{ base_url: host.url }]), retries: 2 } })
  const report = newRouteReport()
  await expect(say({ report })).rejects.toMatchObject({
    errorId: 'SERVICE_UNAVAILABLE',
    about: { busy: true, retryAfterSeconds: 0.02 },
  })
  expect(report.tries).toHaveLength(3)
})

test('a host that asks for a long time for itself is not asked again by the same request', async () => {
  const host = await givenChatHost(whole(429, '', { 'retry-after': '30' }))
  const { say } = givenRouter({ talker: { ...at([{ base_url: host.url }]), retries: 5 } })
  await expect(say()).rejects.toMatchObject({ about: { retryAfterSeconds: 30 } })
  expect(host.asked).toHaveLength(1)
})

test('the fallbacks stand in, in their order, under the name that was asked for', async () => {
  const hosts = {
    a: await givenChatHost(broken),
    b: await givenChatHost(broken),
    c: await givenChatHost(well),
  }
  const { say } = givenRouter({
    talker: {
      ...at([{ base_url: hosts.a.url }]),
      retries: 0,
      fallbacks: ['none', 'vectors', 'second', 'third'],
    },
    vectors: { ...at([{ base_url: hosts.c.url }]), apis: ['embeddings'] },
    second: { ...at([{ base_url: hosts.b.url }]), retries: 0 },
    third: at([{ base_url: hosts.c.url, model: 'their-third' }]),
  })
  const { text, report, chunks } = await say()
  expect(text).toBe('Hello mill')
  expect(new Set(chunks.map(({ model }) => model))).toEqual(new Set(['talker']))
  expect(hosts.c.asked[0]?.body.model).toBe('their-third')
  expect(report).toMatchObject({
    tries: [{ model: 'talker' }, { model: 'second' }, { model: 'third' }],
    served: { model: 'third' },
    passedOver: [
      { model: 'none', reason: 'there is no such model' },
      { model: 'vectors', reason: 'it does not serve chat' },
    ],
  })
  await expect(say({ allowFallbacks: false })).rejects.toMatchObject({ errorId: 'INFERENCE_ERROR' })
})

test('what was sent leaves the installation only where the model allows that', async () => {
  const [own, cloud] = [await givenChatHost(broken), await givenChatHost(well)]
  const models = (partnerFallbacks: boolean) => ({
    talker: { ...at([{ base_url: own.url }]), retries: 0, fallbacks: ['cloud'], partnerFallbacks },
    cloud: { ...at([{ base_url: cloud.url }]), service: { type: 'partner' } },
  })
  await expect(givenRouter(models(false)).say()).rejects.toMatchObject({ errorId: 'INFERENCE_ERROR' })
  expect(cloud.asked).toHaveLength(0)
  expect((await givenRouter(models(true)).say()).text).toBe('Hello mill')
})

test('a fallback that may not be used is passed over', async () => {
  const [own, spare, last] = [
    await givenChatHost(broken),
    await givenChatHost(well),
    await givenChatHost(well),
  ]
  const { say } = givenRouter({
    talker: { ...at([{ base_url: own.url }]), retries: 0, fallbacks: ['spare', 'last'] },
    spare: at([{ base_url: spare.url }]),
    last: at([{ base_url: last.url }]),
  })
  const { report } = await say({ allows: ({ namespace }) => namespace !== 'spare' })
  expect(report).toMatchObject({
    served: { model: 'last' },
    passedOver: [{ model: 'spare', reason: 'who asked may not use it' }],
  })
  expect(spare.asked).toHaveLength(0)
})

test('a model without its variable is not served, and its fallback is', async () => {
  const host = await givenChatHost(well)
  const { say } = givenRouter(
    {
      talker: { ...at([{ base_url: host.url, api_key: `\${NO_SUCH_KEY}` }]), fallbacks: ['spare'] },
      spare: at([{ base_url: `\${SPARE_URL}` }]),
    },
    { variable: (name) => (name === 'SPARE_URL' ? host.url : undefined) },
  )
  expect((await say()).report.served).toMatchObject({ model: 'spare' })
  await expect(say({ allowFallbacks: false })).rejects.toMatchObject({
    errorId: 'SERVICE_UNAVAILABLE',
    about: { cause: new Error('talker is not served here: NO_SUCH_KEY is not set') },
  })
})

test('a host that fails again and again is left alone by all processes, and found again by one', async () => {
  const [a, b] = [await givenChatHost(broken), await givenChatHost(well)]
  const models = { talker: { ...at([{ base_url: a.url, weight: 100 }, { base_url: b.url }]), retries: 1 } }
  const [one, other] = [givenRouter(models), givenRouter(models)]
  await until(
    async () => {
      await one.say()
      return (await readHosts(database.db)).some(
        ({ name, closedFor }) => name === hostNameOf(a.url) && closedFor,
      )
    },
    { what: 'the host to be left alone' },
  )
  await database.db.pool.query(`update hosts set open_until = clock_timestamp() + interval '1 hour'`)

  // What one found out the other learns at its next look, which no request waits for.
  await until(async () => (await other.say()).report.tries.length === 1, { what: 'the other to know' })
  const asked = a.asked.length
  for (let n = 0; n < 5; n += 1) await other.say()
  expect(a.asked).toHaveLength(asked)

  a.answerWith(well)
  await database.db.pool.query('update hosts set open_until = clock_timestamp()')
  await until(async () => (await other.say()).report.served?.host === hostNameOf(a.url), {
    what: 'its return',
  })
  await until(async () => !(await isKnown(a)), { what: 'its failures to be forgotten' })
})

test('while all hosts of a model are left alone a client is told when to come back, and nobody is asked', async () => {
  const host = await givenChatHost(broken)
  const { say } = givenRouter({ talker: { ...at([{ base_url: host.url }]), retries: 0 } })
  await until(
    () =>
      say().then(
        () => false,
        ({ about }: InferenceFault) => about.retryAfterSeconds,
      ),
    {
      what: 'the host to be left alone',
    },
  )
  const asked = host.asked.length
  await expect(say()).rejects.toMatchObject({ errorId: 'SERVICE_UNAVAILABLE' })
  expect(host.asked).toHaveLength(asked)
})

test('a stream that does not begin in time is sought elsewhere', async () => {
  const [silent, other] = [
    await givenChatHost([head(200, { 'content-type': 'text/event-stream' }), ': wait\n\n']),
    await givenChatHost(well),
  ]
  const { say } = givenRouter({
    talker: {
      ...at([{ base_url: silent.url, weight: 2 }, { base_url: other.url }]),
      timeouts: { firstByte: 0.2 },
    },
  })
  const { report } = await say()
  expect(report.tries).toMatchObject([
    { fault: { errorId: 'INFERENCE_TIMEOUT' } },
    { host: hostNameOf(other.url) },
  ])
  await until(() => silent.open() === 0, { what: 'the connection to close' })
})

test('a stream that falls silent, comments or not, ends with a time-out', async () => {
  const host = await givenChatHost(async ({ socket }) => {
    socket.write(opening.join(''))
    const timer = setInterval(() => socket.write(': still here\n\n'), 20)
    socket.once('close', () => clearInterval(timer))
    return undefined
  })
  const { begin } = givenRouter({ talker: { ...at([{ base_url: host.url }]), timeouts: { idle: 0.3 } } })
  const { chunks, report } = await begin()
  await expect(all(chunks)).rejects.toMatchObject({ errorId: 'INFERENCE_TIMEOUT' })
  expect(report.tries).toMatchObject([{ fault: { errorId: 'INFERENCE_TIMEOUT' } }])
  await until(() => host.open() === 0, { what: 'the connection to close' })
})

test('all tries together, and what they stream, have one time', async () => {
  const endless: ChatScript = async ({ socket }) => {
    socket.write(opening.join(''))
    const timer = setInterval(() => socket.write(event(chunk({ content: ' on' }))), 20)
    socket.once('close', () => clearInterval(timer))
    return undefined
  }
  const host = await givenChatHost(endless)
  const { begin, say } = givenRouter({
    talker: { ...at([{ base_url: host.url }]), timeouts: { run: 0.5 }, fallbacks: ['spare'] },
    spare: at([{ base_url: host.url }]),
  })
  const { chunks } = await begin()
  await expect(all(chunks)).rejects.toMatchObject({ errorId: 'INFERENCE_TIMEOUT' })
  host.answerWith([])
  await expect(say({ request: { ...request, stream: false } })).rejects.toMatchObject({
    errorId: 'INFERENCE_TIMEOUT',
  })
  await until(() => host.open() === 0, { what: 'the connections to close' })
})

test.each(['before its first chunk', 'while it is read', 'while nobody reads'])(
  'when the client goes, the stream is closed at its host: %s',
  async (when) => {
    const host = await givenChatHost(when === 'before its first chunk' ? [] : opening)
    const { begin, router, model } = givenRouter({ talker: at([{ base_url: host.url, max_running: 1 }]) })
    const gone = new AbortController()
    const report = newRouteReport()
    const begun = begin({ signal: gone.signal, report })
    if (when === 'before its first chunk') {
      await until(() => host.asked.length > 0, { what: 'the question' })
      gone.abort(new Error('the client has gone'))
      await expect(begun).rejects.toThrow('the client has gone')
    } else {
      const { chunks } = await begun
      await chunks.next()
      const next = when === 'while it is read' ? chunks.next() : undefined
      gone.abort(new Error('the client has gone'))
      await expect(next ?? chunks.next()).rejects.toThrow('the client has gone')
    }
    await until(() => host.open() === 0, { within: 1_000, what: 'the connection to close' })
    expect(report.tries).toMatchObject([{ abandoned: true }])

    // Its place is free again, and the host is not blamed.
    host.answerWith(whole(200, completion('Hello')))
    await router.chat(model('talker'), { ...request, stream: false }, callOf())
    expect(await isKnown(host)).toBe(false)
  },
)

test('a stream that is returned before anybody read it leaves nothing behind', async () => {
  const host = await givenChatHost(opening)
  const { begin } = givenRouter({ talker: at([{ base_url: host.url, max_running: 1 }]) })
  for (let n = 0; n < 3; n += 1) await (await begin()).chunks.return()
  await until(() => host.open() === 0, { what: 'the connections to close' })
  expect(host.asked).toHaveLength(3)
})

test('a slow reader holds the host', async () => {
  let sent = 0
  const host = await givenChatHost(async ({ socket }) => {
    socket.write(opening[0])
    const part = event(chunk({ content: 'x'.repeat(8_000) }))
    const more = () => {
      while (!socket.destroyed && sent < 200 << 20) {
        sent += part.length
        if (!socket.write(part)) return void socket.once('drain', more)
      }
    }
    more()
    return undefined
  })
  const { begin } = givenRouter({ talker: at([{ base_url: host.url }]) })
  const { chunks } = await begin()
  // What the two systems hold between them is some megabytes; then nothing more leaves the host.
  let before = -1
  let looks = 0
  await until(
    () => {
      looks = sent === before ? looks + 1 : 0
      before = sent
      return looks > 30
    },
    { what: 'the host to be held' },
  )
  expect(sent).toBeLessThan(40 << 20)
  for (let n = 0; n < 5_000; n += 1) await chunks.next()
  await until(() => sent > before, { what: 'the host to go on' })
  await chunks.return()
})

test('who finds a host full waits in line, and its time runs', async () => {
  const host = await givenChatHost(opening)
  const { begin } = givenRouter({
    talker: { ...at([{ base_url: host.url, max_running: 2 }]), timeouts: { run: 5 } },
    hasty: { ...at([{ base_url: host.url, max_running: 2 }]), timeouts: { run: 0.1 } },
  })
  const [first] = [await begin(), await begin()]
  const third = begin()
  await expect(begin({ model: 'hasty' })).rejects.toMatchObject({ errorId: 'INFERENCE_TIMEOUT' })
  expect(host.asked).toHaveLength(2)

  await first.chunks.return()

  await (await third).chunks.return()
  expect(host.asked).toHaveLength(3)
})

test('embeddings take the same way', async () => {
  const [a, b] = [
    await givenChatHost(broken),
    await givenChatHost(whole(200, { data: [{ index: 0, embedding: [1, 2] }] })),
  ]
  const { router, model } = givenRouter({
    vectors: { ...at([{ base_url: a.url }, { base_url: b.url }]), apis: ['embeddings'] },
  })
  const call = callOf()
  expect(await router.embed(model('vectors'), { model: 'vectors', input: 'mill' }, call)).toEqual({
    vectors: [[1, 2]],
  })
  expect(call.report.served).toEqual({ model: 'vectors', host: hostNameOf(b.url) })
})

test('the recipe of docs/hosts.md for chat runs as it is written', async () => {
  const ports: Ports = { ...(await freePorts()), 11434: await freePort() }
  const block = (await blocksOf('docs/hosts.md', ports)).find(({ file }) => file === 'models/talker.yaml')
  const hosts = [ports[11434], ports[8000]].map((port = 0) => givenChatHost(well, { port }))
  const { say } = givenRouter({ talker: parse(block?.text.replace('11434', String(ports[11434])) ?? '') })

  for (let n = 0; n < 3; n += 1) expect((await say()).text).toBe('Hello mill')

  const asked = (await Promise.all(hosts)).map((host) => host.asked.map(({ body }) => body.model))
  expect(asked).toEqual([['llama3.2'], Array(2).fill('meta-llama/Llama-3.2-3B-Instruct')])
})

test('a host that refuses connections is away', async () => {
  const { say } = givenRouter({
    talker: { ...at([{ base_url: `http://127.0.0.1:${await freePort()}/v1` }]), retries: 0 },
  })
  await expect(say()).rejects.toMatchObject({ errorId: 'INFERENCE_ERROR', about: { down: true } })
})

const request: ChatRequest = { model: 'talker', messages: [{ role: 'user', content: 'Hi' }], stream: true }

/** Whether it failed lately, as all processes see it. */
async function isKnown({ url }: ChatHost): Promise<boolean> {
  return (await readHosts(database.db)).some(({ name }) => name === hostNameOf(url))
}

/** A model at these hosts. */
function at(hosts: object[]): Stated {
  return { provider: { kind: 'openai', hosts } }
}

/** A router as each api has one, over the database of all of them. */
function givenRouter(
  stated: Record<string, Stated>,
  options: { variable?: (name: string) => string | undefined } = {},
) {
  const models = new Map(
    Object.entries(stated).map(([namespace, traits]) => [
      namespace,
      describeSettings(`/${namespace}.yaml`, { namespace, type: 'text', apis: ['chat'], ...traits }),
    ]),
  )
  const log = createLog({ level: 'silent', name: 'test' })
  const watch: HostWatch = watchHosts(database.db, log)
  const router: Router = createRouter({ watch, describe: (slug) => models.get(slug), ...options })
  onTestFinished(async () => {
    await router.close()
    await database.db.pool.query('delete from hosts')
  })
  const model = (slug: string): ModelDescription => models.get(slug)!

  async function begin({ model: slug = 'talker', request: asked = request, ...call }: Asking = {}) {
    const made = { ...callOf(), ...call }
    const reply = await router.chat(model(slug), asked, made)
    if (reply.kind !== 'stream') throw new Error('it did not stream')
    return { chunks: reply.chunks, report: made.report }
  }

  async function say(asking: Asking = {}) {
    const { chunks: told, report } = await begin(asking)
    const chunks = await all(told)
    return { chunks, report, text: chunks.map(({ choices: [first] }) => first?.delta.content ?? '').join('') }
  }

  return { router, model, begin, say }
}

function callOf() {
  return { signal: new AbortController().signal, requestId: 'req_1', report: newRouteReport() }
}

async function all(told: AsyncIterable<ChatChunk>): Promise<ChatChunk[]> {
  const chunks: ChatChunk[] = []
  for await (const one of told) chunks.push(one)
  return chunks
}

type Stated = Record<string, unknown>

interface Asking {
  model?: string
  request?: ChatRequest
  signal?: AbortSignal
  report?: RouteReport
  allowFallbacks?: boolean
  allows?: (model: ModelDescription) => boolean
}
