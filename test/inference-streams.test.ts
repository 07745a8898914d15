import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openModule } from '@millrace/inference/module-backend'
import { safe } from '@millrace/inference/safety'
import { createLog } from '@millrace/process/log'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { startApiHere } from './api-here.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'
import {
  type ChatHost,
  type ChatQuestion,
  chunk,
  chunked,
  event,
  head,
  hello,
  say,
  startChatHost,
} from './hosts/chat.ts'
import { loggedCall } from './logged-call.ts'

let folder: string
let host: ChatHost & { stop(): void }
let service: Service
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-streams-'))
  host = await startChatHost([])
  const provider = `{kind: openai, base_url: '${host.url}'}`
  await writeFile(
    join(folder, 'talker.yaml'),
    `namespace: talker\ntype: text\napis: [chat]\nretries: 0\nprovider: ${provider}`,
  )
  service = await startService({ queue: 'redis', workers: 0, dispatchers: 0, env: { MODELS_DIR: folder } })
})
afterAll(async () => {
  await service.stop()
  host.stop()
  await rm(folder, { recursive: true, force: true })
})

test('a client that does not read holds the host, and costs no memory; when it goes the host is let go', async () => {
  const pump = { bytes: 0, isClosed: false }
  host.answerWith((question) => pumpInto(question, pump))
  const api = service.processes[0]
  const before = await residentBytes(api?.pid)
  const client = await openUnread('unread')

  let looks = { bytes: -1, same: 0 }
  await until(
    () => {
      looks = { bytes: pump.bytes, same: pump.bytes > 0 && pump.bytes === looks.bytes ? looks.same + 1 : 0 }
      return looks.same > 50
    },
    { within: 30_000, what: 'the host to be held' },
  )
  // What the kernel keeps of two connections, and no more.
  expect(pump.bytes).toBeLessThan(40 * megabyte)
  expect((await residentBytes(api?.pid)) - before).toBeLessThan(100 * megabyte)

  client.destroy()
  await until(() => pump.isClosed, { within: 1_000, what: 'the host to be let go' })
  expect(await rowOf('unread')).toMatchObject({ status: 'cancelled', http_status: 200 })
})

test('after fifteen seconds of silence there are headers, and a comment, and one after each fifteen more', async () => {
  const api = await startApiHere(service)
  onTestFinished(api.close)
  const questions: ChatQuestion[] = []
  host.answerWith((question) => void questions.push(question))
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())

  const asked = ask(api.url, 'silent')
  const [question] = await until(() => questions.length > 0 && questions, { what: 'the host to be asked' })
  vi.advanceTimersByTime(15_000)
  const response = await asked
  const heard = { text: '' }
  void listen(response, heard)
  const comments = (count: number) =>
    until(() => heard.text.split(': still here\n\n').length === count + 1, { what: `comment ${count}` })
  await comments(1)
  vi.advanceTimersByTime(15_000)
  await comments(2)

  if (question) await say(question.socket, head(200, { 'content-type': 'text/event-stream' }) + hello[1])
  await until(() => heard.text.includes('Hello'), { what: 'the first chunk' })
  vi.advanceTimersByTime(14_999)
  await new Promise((resolve) => setImmediate(resolve))
  expect(heard.text).not.toMatch(/Hello.*still here/s)
  vi.advanceTimersByTime(1)
  await comments(3)

  question?.socket.end()
  await until(() => heard.text.includes('INFERENCE_ERROR'), { what: 'the end to be told in the stream' })
  expect(response.status).toBe(200)
  expect(await rowOf('silent')).toMatchObject({ status: 'failed', http_status: 200 })
})

test('of several answers one after the other the first is not taken for all', async () => {
  const api = await startApiHere(service)
  onTestFinished(api.close)
  const questions: ChatQuestion[] = []
  host.answerWith((question) => void questions.push(question))
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const answer = (index: number, content: string) =>
    event(chunk({}, null, { choices: [{ index, delta: { content }, finish_reason: 'stop' }] }))

  const asked = ask(api.url, 'two', { n: 2 })
  const [question] = await until(() => questions.length > 0 && questions, { what: 'the host to be asked' })
  if (!question) throw new Error('Nobody asked')
  await say(question.socket, head(200, { 'content-type': 'text/event-stream' }) + answer(0, 'one'))
  const heard = { text: '' }
  const over = listen(await asked, heard)
  await until(() => heard.text.includes('one'), { what: 'the first answer' })
  let tenths = 0
  await until(() => vi.advanceTimersByTime(100) && ++tenths > 30, { what: 'three seconds' })
  await say(question.socket, answer(1, 'two') + event('[DONE]'))
  await over

  expect(heard.text).toMatch(/one.*two.*\[DONE\]/s)
})

test('a stream that asked for its tokens gets them, also of a host that counts none', async () => {
  host.answerWith(chunked(...hello.filter((_, index) => index !== 4)))
  const response = await ask(service.url, 'counted', { stream_options: { include_usage: true } })
  const frames = (await response.text()).trim().split('\n\n')
  const { usage, choices } = JSON.parse(frames.at(-2)?.slice('data: '.length) ?? '')

  expect([frames.at(-1), choices]).toEqual(['data: [DONE]', []])
  expect(usage).toMatchObject({ completion_tokens: 2, total_tokens: usage.prompt_tokens + 2 })
  expect(await rowOf('counted')).toMatchObject({
    input_tokens: usage.prompt_tokens,
    output_tokens: 2,
    estimated: true,
  })
})

test.each([
  ['before', false],
  ['in the middle of', true],
])(
  'what nobody foresaw %s a stream is logged whole, and answered without a trace of it',
  async (_when, late) => {
    const log = createLog({ name: 'test', level: 'silent' })
    const logged = vi.spyOn(log, 'error')
    const fails = () => Promise.reject(new TypeError('a secret of ours'))
    const fine = () => Promise.resolve(safe)
    const safety = { looks: true, prompt: late ? fine : fails, completion: fails, image: fine }
    const api = await startApiHere(service, { log, safety })
    onTestFinished(api.close)
    host.answerWith(chunked(...hello))

    const response = await ask(api.url, `unforeseen-${late}`)
    const text = await response.text()

    expect([response.status, text]).toEqual([late ? 200 : 500, expect.stringContaining('INTERNAL_ERROR')])
    expect(text).not.toContain('secret')
    expect(logged.mock.calls).toEqual([
      [expect.objectContaining({ err: new TypeError('a secret of ours') }), expect.any(String)],
    ])
  },
)

test('a client that goes is no error of ours', async () => {
  host.answerWith([])
  const abort = new AbortController()
  const asked = ask(service.url, 'left', { stream: false }, abort.signal).catch(() => 'gone')
  await until(() => host.open() > 0 && host.asked.at(-1)?.head.includes('left'), {
    what: 'the host to be asked',
  })
  abort.abort()
  expect(await asked).toBe('gone')
  expect(await rowOf('left')).toMatchObject({ status: 'cancelled', http_status: 499, error_id: null })
  const line = await until(() => lineOf('left'), { what: 'the line of the request' })
  expect(line).toMatchObject({ finished: false })
  expect(service.processes[0]?.log()).not.toContain('"level":"error"')
})

test.each([
  ['has read a part', 1],
  ['has read nothing', 0],
])('a module stops when who %s of its stream wants no more', async (_what, parts) => {
  const api = await startApiHere(service)
  onTestFinished(api.close)
  const parrot = api.context.catalogue.find('parrot')
  if (!parrot) throw new Error('There is no parrot')
  const module = openModule(parrot)
  const messages = [{ role: 'user' as const, content: 'a b c /stall 2' }]
  const call = { signal: new AbortController().signal, requestId: 'one' }

  const reply = await module.chat({ model: 'parrot', stream: true, messages }, call)
  if (reply.kind !== 'stream') throw new Error('It is no stream')
  for (let part = 0; part < parts; part += 1) await reply.chunks.next()
  await reply.chunks.return()

  // Waits for whoever is inside.
  await module.close()
})

function ask(url: string, requestId: string, more: object = {}, signal?: AbortSignal): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    ...(signal ? { signal } : {}),
    headers: headersOf(requestId),
    body: bodyOf(more),
  })
}

function headersOf(requestId: string) {
  return { 'x-api-key': service.apiKey, 'content-type': 'application/json', 'x-request-id': requestId }
}

function bodyOf(more: object = {}): string {
  const messages = [{ role: 'user', content: 'a mill' }]
  return JSON.stringify({ model: 'talker', stream: true, messages, ...more })
}

/** Asks for a stream over a connection from which nobody reads. */
async function openUnread(requestId: string): Promise<Socket> {
  const { hostname, port } = new URL(service.url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.pause()
  const body = bodyOf()
  const headers = { ...headersOf(requestId), host: 'here', 'content-length': String(body.length) }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`POST /v1/chat/completions HTTP/1.1\r\n${lines.join('')}\r\n${body}`)
  return socket
}

/** Says as much as is taken, without end. */
async function pumpInto(
  { socket }: ChatQuestion,
  pump: { bytes: number; isClosed: boolean },
): Promise<undefined> {
  socket.once('close', () => {
    pump.isClosed = true
  })
  const packet = event(chunk({ content: 'x'.repeat(64 * 1024) }))
  await say(socket, head(200, { 'content-type': 'text/event-stream' }))
  while (!pump.isClosed) {
    await say(socket, packet)
    pump.bytes += packet.length
  }
}

async function listen(response: Response, heard: { text: string }): Promise<void> {
  const text = new TextDecoder()
  for await (const bytes of response.body ?? []) heard.text += text.decode(bytes, { stream: true })
}

async function residentBytes(pid = 0): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
}

/** What the api logged of a request. */
function lineOf(requestId: string): { finished?: boolean } | undefined {
  const lines = service.processes[0]?.log().split('\n') ?? []
  const line = lines.find((one) => one.includes(`"request_id":"${requestId}"`) && one.includes('"finished"'))
  return line === undefined ? undefined : JSON.parse(line)
}

const rowOf = (requestId: string) => loggedCall(service, requestId)

const megabyte = 1024 * 1024
