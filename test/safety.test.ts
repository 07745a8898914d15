import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { createModeration } from '@millrace/inference/moderation'
import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { callerOf } from './api-caller.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'
import { type ChatHost, chunked, completion, hello, startChatHost, whole } from './hosts/chat.ts'

let folder: string
let judge: Judge
let host: ChatHost & { stop(): void }
let service: Service
let openai: OpenAI
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-safety-'))
  judge = await startJudge()
  host = await startChatHost([])
  const provider = `{kind: openai, base_url: '${host.url}'}`
  await writeFile(
    join(folder, 'talker.yaml'),
    `namespace: talker\ntype: text\napis: [chat]\nprovider: ${provider}`,
  )
  const env = {
    MODELS_DIR: folder,
    SAFETY_URL: judge.url,
    SAFETY_API_KEY: 'of-the-judge',
    SAFETY_MODEL: 'omni',
  }
  service = await startService({ queue: 'redis', dispatchers: 0, env })
  openai = new OpenAI({ apiKey: service.apiKey, baseURL: `${service.url}/v1`, maxRetries: 0 })
})
afterAll(async () => {
  await service.stop()
  host.stop()
  judge.server.close()
  await rm(folder, { recursive: true, force: true })
})
beforeEach(() => {
  host.asked.length = 0
  judge.asked.length = 0
  judge.answer = undefined
  host.answerWith(({ body }) => (body.stream ? chunked(...hello) : whole(200, completion('Hello mill'))))
})

const text = (content: unknown) => [{ role: 'user', content }]
const sending = (what: string) => ({
  id: 'call_1',
  type: 'function',
  function: { name: 'send', arguments: JSON.stringify({ text: what }) },
})
const nothingFound = { filtered: false, severity: 'safe' }

test('what is found safe is answered, and says what was found of it', async () => {
  const { status, body } = await chat(text('a mill'))
  expect(status).toBe(200)
  expect(body).toMatchObject({
    choices: [{ message: { content: 'Hello mill' }, content_filter_results: { hate: nothingFound } }],
    prompt_filter_results: [{ prompt_index: 0, content_filter_results: { violence: nothingFound } }],
  })
  expect(judge.asked).toEqual([
    { authorization: 'Bearer of-the-judge', body: { input: ['a mill'], model: 'omni' } },
    { authorization: 'Bearer of-the-judge', body: { input: 'Hello mill', model: 'omni' } },
  ])
})

test.each([false, true])('a blocked prompt is 451, and no host is asked (stream: %s)', async (stream) => {
  const { status, body } = await chat(text([{ type: 'text', text: 'bad: hate/threatening' }]), { stream })
  expect({ status, error: body.error }).toMatchObject({
    status: 451,
    error: {
      error_id: 'CONTENT_POLICY_VIOLATION',
      code: 'content_policy_violation',
      message: 'The prompt was blocked by the safety filter: hate.',
    },
  })
  expect(host.asked).toEqual([])
})

test.each<[string, unknown]>([
  ['an image', { url: 'data:image/png;base64,bad: sexual/minors' }],
  ['an image by its address alone', 'https://bad: sexual'],
])('%s is judged, too', async (_what, image_url) => {
  const parts = [
    { type: 'text', text: 'Look.' },
    { type: 'image_url', image_url },
  ]
  expect(await chat(text(parts))).toMatchObject({
    status: 451,
    body: { error: { message: expect.stringContaining('sexual') } },
  })
  expect(host.asked).toEqual([])
})

test('what a tool was called with is judged with the rest of a conversation', async () => {
  const called = { role: 'assistant', content: null, tool_calls: [sending('bad: sexual')] }
  const result = { role: 'tool', tool_call_id: 'call_1', content: 'sent' }
  expect((await chat([...text('a mill'), called, result])).status).toBe(451)
  expect(host.asked).toEqual([])
})

test('what is to be embedded is judged, too', async () => {
  const asked = openai.embeddings.create({ model: 'hash-embed', input: ['a mill', 'bad: hate'] })
  await expect(asked).rejects.toMatchObject({ status: 451, code: 'content_policy_violation' })
  const run = { model: 'hash-embed', inputs: { input: 'bad: hate' }, async: true }
  const later = await callerOf(service.url, service.apiKey)('POST /v1/run', { body: run })
  expect(later.status).toBe(451)
  expect((await openai.embeddings.create({ model: 'hash-embed', input: [1, 2] })).data).toHaveLength(1)
})

test.each([
  ['its words', { content: 'bad: self-harm/intent' }],
  ['what it thought', { content: 'well', reasoning_content: 'bad: self-harm' }],
  ['what it calls a tool with', { content: null, tool_calls: [sending('bad: self-harm')] }],
])('a blocked answer loses all it said, for %s', async (_where, message) => {
  const choice = { index: 0, message: { role: 'assistant', ...message }, finish_reason: 'stop' }
  const logprobs = { content: [{ token: 'bad' }] }
  host.answerWith(whole(200, completion('', { choices: [{ ...choice, logprobs }] })))
  const { status, body } = await chat(text('a mill'))
  expect([status, body.choices]).toEqual([
    200,
    [
      {
        index: 0,
        message: { role: 'assistant', content: null, refusal: null },
        finish_reason: 'content_filter',
        logprobs: null,
        content_filter_results: {
          hate: nothingFound,
          self_harm: { filtered: true, severity: 'high' },
          sexual: nothingFound,
          violence: nothingFound,
        },
      },
    ],
  ])
})

test('a stream whose answer is blocked ends with the reason, before its end is told', async () => {
  judge.answer = ({ input }) =>
    input === 'Hello mill' ? judged({ violence: true }, { violence: 0.6 }) : undefined
  const { status, frames } = await chatStream()
  const chunks = frames.slice(0, -1).map((frame) => JSON.parse(frame))
  expect([status, frames.at(-1)]).toEqual([200, '[DONE]'])
  expect(chunks.map(({ choices }) => choices[0].finish_reason)).toEqual([null, null, null, 'content_filter'])
  expect(chunks.at(-1).choices[0]).toMatchObject({
    delta: {},
    content_filter_results: { violence: { filtered: true, severity: 'medium' } },
  })
})

const forbidden = { status: 'incomplete', incomplete_details: { reason: 'content_filter' }, output: [] }
const forbidHello = ({ input }: Question) => (input === 'Hello mill' ? judged({ violence: true }) : undefined)

test.each([false, true])(
  'a response that is blocked keeps nothing of what it said (stream: %s)',
  async (stream) => {
    judge.answer = forbidHello
    const asked = { model: 'talker', input: 'a mill' }
    const response = stream
      ? await openai.responses.stream(asked).finalResponse()
      : await openai.responses.create(asked)
    expect(response).toMatchObject(forbidden)
    expect(await openai.responses.retrieve(response.id)).toMatchObject(forbidden)
  },
)

test('a chat that is blocked is stored without what it said, though it streamed', async () => {
  judge.answer = forbidHello
  const stream = await openai.chat.completions.create({
    model: 'talker',
    messages: [{ role: 'user', content: 'a mill' }],
    stream: true,
    store: true,
  })
  let id = ''
  for await (const chunk of stream) id = chunk.id
  const message = { content: null, refusal: null }
  expect((await openai.chat.completions.retrieve(id)).choices).toMatchObject([
    { message, finish_reason: 'content_filter' },
  ])
})

test('of a response in the background that is blocked nobody is told a word', async () => {
  judge.answer = forbidHello
  const { id } = await openai.responses.create({ model: 'talker', input: 'a mill', background: true })
  const response = await until(
    async () => {
      const found = await openai.responses.retrieve(id)
      return found.status === 'incomplete' && found
    },
    { what: 'the response', within: 20_000 },
  )
  expect(response).toMatchObject(forbidden)
  const types: string[] = []
  for await (const { type } of await openai.responses.retrieve(id, { stream: true })) types.push(type)
  expect(types).toEqual([
    'response.created',
    'response.queued',
    'response.in_progress',
    'response.incomplete',
  ])
})

test('a blocked job has no answer either', async () => {
  judge.answer = forbidHello
  const call = callerOf(service.url, service.apiKey)
  const inputs = { messages: text('a mill') }
  const job = await call('POST /v1/run', { body: { model: 'talker', inputs, async: true } })
  const { result } = await until(
    async () => {
      const { body } = await call(`GET /v1/job/${job.body.job_id}`)
      return body.status === 'completed' && body
    },
    { what: 'the job', within: 20_000 },
  )
  const message = { role: 'assistant', content: null, refusal: null }
  expect(result.choices).toMatchObject([{ message, finish_reason: 'content_filter' }])
})

const unjudged: [string, Judgement][] = [
  ['is broken', { status: 500, body: { error: {} } }],
  ['answers a page', { status: 200, body: '<html>' }],
  ['answers nothing', { status: 200, body: {} }],
  ['judges nothing', { status: 200, body: { results: [] } }],
  ['judges something else', { status: 200, body: { results: [{ label: 'fine' }] } }],
  ['has no categories', { status: 200, body: { results: [{ categories: null }] } }],
  ['knows no such key', { status: 401, body: { results: [{ flagged: false }] } }],
]
test.each(unjudged)('nothing is let through while the host of the filter %s', async (_what, judgement) => {
  judge.answer = () => judgement
  const { status, body, retryAfter } = await chat(text('a mill'))
  expect([status, body.error.error_id, retryAfter]).toEqual([503, 'SERVICE_UNAVAILABLE', '5'])
  expect(body.error.message).not.toContain('127.0.0.1')
  expect(host.asked).toEqual([])
})

test('nothing is let through that the host of the filter has left out', async () => {
  judge.answer = () => judged({ hate: false })
  expect((await chat([...text('one'), ...text('two')])).status).toBe(503)
  expect(host.asked).toEqual([])
})

test('an answer that cannot be judged is not told, and a stream does not end as if it were', async () => {
  judge.answer = ({ input }) => (input === 'Hello mill' ? { status: 500, body: {} } : undefined)
  const { status, body } = await chat(text('a mill'))
  expect([status, body.error.error_id]).toEqual([503, 'SERVICE_UNAVAILABLE'])

  const { frames } = await chatStream()
  expect(JSON.parse(frames.at(-1) ?? '')).toMatchObject({ error: { error_id: 'SERVICE_UNAVAILABLE' } })
})

test.each<[string, Judgement, string]>([
  ['flags for something of its own', judged({ 'illicit/violent': true }), 'violence'],
  ['flags and does not say for what', { status: 200, body: { results: [{ flagged: true }] } }, 'violence'],
  ['writes its categories in its own way', judged({ 'Self harm': true }), 'self_harm'],
])('a host that %s is heard', async (_what, judgement, category) => {
  judge.answer = () => judgement
  expect(await chat(text('a mill'))).toMatchObject({
    status: 451,
    body: { error: { message: `The prompt was blocked by the safety filter: ${category}.` } },
  })
})

test('a host of the filter that takes too long gives no verdict', async () => {
  judge.answer = () => 'silence'
  const filter = createModeration({ baseUrl: judge.url, timeoutMs: 50 })
  const { signal } = new AbortController()
  await expect(filter.prompt(['a mill'], { signal })).rejects.toMatchObject({
    errorId: 'SERVICE_UNAVAILABLE',
  })
})

async function chat(messages: unknown[], more: object = {}) {
  const response = await ask(messages, more)
  const body = JSON.parse(await response.text())
  return { status: response.status, body, retryAfter: response.headers.get('retry-after') }
}

async function chatStream(): Promise<{ status: number; frames: string[] }> {
  const response = await ask(text('a mill'), { stream: true })
  const frames = (await response.text()).trim().split('\n\n')
  return { status: response.status, frames: frames.map((frame) => frame.slice('data: '.length)) }
}

function ask(messages: unknown[], more: object): Promise<Response> {
  return fetch(`${service.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'x-api-key': service.apiKey, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'talker', messages, ...more }),
  })
}

/** A moderation host: finds what follows `bad: ` in a text, unless it is told what to answer. */
async function startJudge(): Promise<Judge> {
  const state: Judge = { url: '', asked: [], answer: undefined, server: createServer() }
  state.server.on('request', async (request, response) => {
    const body = (await json(request)) as Question
    state.asked.push({ authorization: request.headers.authorization, body })
    const inputs = Array.isArray(body.input) ? body.input : [body.input]
    const usual = { status: 200, body: { results: inputs.map(resultOf) } }
    const given = state.answer?.(body) ?? usual
    if (given === 'silence') return
    response.writeHead(given.status, { 'content-type': 'application/json' })
    response.end(typeof given.body === 'string' ? given.body : JSON.stringify(given.body))
  })
  state.server.listen(0, '127.0.0.1')
  await once(state.server, 'listening')
  state.url = `http://127.0.0.1:${(state.server.address() as AddressInfo).port}/v1`
  return state
}

function resultOf(input: unknown) {
  const found = /bad: ([\w/-]+)/.exec(JSON.stringify(input))?.[1]
  const known = found === undefined ? {} : { [found]: true }
  const scores = found === undefined ? {} : { [found]: 0.9 }
  return { flagged: found !== undefined, categories: { hate: false, ...known }, category_scores: scores }
}

function judged(categories: Record<string, boolean>, category_scores = {}): Judgement {
  return { status: 200, body: { results: [{ categories, category_scores }] } }
}

interface Question {
  input: unknown
  model?: string
}

type Judgement = { status: number; body: unknown } | 'silence'

interface Judge {
  url: string
  asked: { authorization: string | undefined; body: Question }[]
  answer: ((question: Question) => Judgement | undefined) | undefined
  server: Server
}
