import Anthropic from '@anthropic-ai/sdk'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callerOf } from './api-caller.ts'
import { type Service, startService } from './harness/service.ts'
import { loggedCall } from './logged-call.ts'

let service: Service
let client: Anthropic
beforeAll(async () => {
  service = await startService({
    queue: 'redis',
    workers: 0,
    dispatchers: 0,
    env: { MAX_BODY_BYTES: '65536' },
  })
  client = clientOf(service.apiKey)
})
afterAll(() => service.stop())

function clientOf(apiKey: string): Anthropic {
  return new Anthropic({ apiKey, baseURL: service.url, maxRetries: 0 })
}

const say = (content: string) => [{ role: 'user' as const, content }]
const parrot = { model: 'parrot', max_tokens: 256 }
const weather = {
  name: 'get_weather',
  input_schema: { type: 'object' as const, properties: { city: { type: 'string' } }, required: ['city'] },
}

const rowOf = (requestId: string | null | undefined) => loggedCall(service, requestId)

test('a conversation is answered as a message', async () => {
  const message = await client.messages.create({
    ...parrot,
    system: 'Repeat.',
    messages: say('a mill by a river'),
  })

  expect(message).toMatchObject({
    id: expect.stringMatching(/^msg_/),
    type: 'message',
    role: 'assistant',
    model: 'parrot',
    content: [{ type: 'text', text: 'a mill by a river' }],
    stop_reason: 'end_turn',
    usage: { input_tokens: 6, output_tokens: 5 },
  })
  expect(message._request_id).toMatch(/^req_/)
  expect(await rowOf(message._request_id)).toMatchObject({
    surface: 'messages',
    model: 'parrot',
    status: 'succeeded',
    http_status: 200,
    input_tokens: 6,
    output_tokens: 5,
    stream: false,
  })
})

test('a bearer token will do as well', async () => {
  const own = new Anthropic({ apiKey: null, authToken: service.apiKey, baseURL: service.url, maxRetries: 0 })
  expect((await own.messages.create({ ...parrot, messages: say('x') })).content).toMatchObject([
    { text: 'x' },
  ])
})

test('an answer streams while it is made', async () => {
  const stream = client.messages.stream({ ...parrot, messages: say('one two three') })
  const types: string[] = []
  const texts: string[] = []
  stream.on('streamEvent', ({ type }) => types.push(type)).on('text', (text) => texts.push(text))
  const message = await stream.finalMessage()

  expect(texts).toEqual(['one', ' two', ' three'])
  expect([...new Set(types)]).toEqual([
    'message_start',
    'content_block_start',
    'content_block_delta',
    'content_block_stop',
    'message_delta',
    'message_stop',
  ])
  expect(message).toMatchObject({
    content: [{ type: 'text', text: 'one two three' }],
    stop_reason: 'end_turn',
    usage: { input_tokens: 3, output_tokens: 3 },
  })
  expect(await rowOf(stream.request_id)).toMatchObject({ stream: true, status: 'succeeded' })
})

test('a tool is called, and its result goes on with the conversation', async () => {
  const stream = client.messages.stream({
    ...parrot,
    tools: [weather],
    messages: say('get_weather {"city":"Delft"}'),
  })
  const json: string[] = []
  stream.on('inputJson', (part) => json.push(part))
  const asked = await stream.finalMessage()
  const call = asked.content.find((block) => block.type === 'tool_use')
  expect(asked.stop_reason).toBe('tool_use')
  expect(call).toMatchObject({ name: 'get_weather', input: { city: 'Delft' } })
  expect(json.join('')).toBe('{"city":"Delft"}')

  const told = await client.messages.create({
    ...parrot,
    tools: [weather],
    messages: [
      ...say('get_weather {"city":"Delft"}'),
      { role: 'assistant', content: asked.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: call?.id ?? '', content: 'rain' }] },
    ],
  })
  expect(told.content).toMatchObject([{ type: 'text', text: 'The tool said: rain' }])
})

test('what a model thinks is told apart from what it says', async () => {
  const message = await client.messages.create({ ...parrot, messages: say('hello /think') })
  expect(message.content).toMatchObject([
    { type: 'thinking', thinking: 'A parrot repeats.' },
    { type: 'text', text: 'hello' },
  ])

  const stream = client.messages.stream({ ...parrot, messages: say('hello /think') })
  const thought: string[] = []
  stream.on('thinking', (part) => thought.push(part))

  const { content } = await stream.finalMessage()
  expect(content.find(({ type }) => type === 'thinking')).toMatchObject({ thinking: 'A parrot repeats.' })
  expect(thought).toEqual(['A parrot repeats.'])
})

test('images go along with a message', async () => {
  const source = { type: 'base64' as const, media_type: 'image/png' as const, data: 'iVBORw0KGgo=' }
  const { content } = await client.messages.create({
    ...parrot,
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Look.' },
          { type: 'image', source },
        ],
      },
    ],
  })
  expect(content).toMatchObject([{ text: 'Look. I see 1 image.' }])
})

test('a refusal and an answer that is too long say so', async () => {
  const refused = await client.messages.create({ ...parrot, messages: say('/refuse') })
  const cut = await client.messages.create({ ...parrot, max_tokens: 2, messages: say('a b c d') })
  expect(refused.stop_reason).toBe('refusal')
  expect(cut).toMatchObject({ stop_reason: 'max_tokens', content: [{ text: 'a b' }] })
})

test('tokens are counted without asking a model', async () => {
  const short = await client.messages.countTokens({ model: 'parrot', messages: say('a mill') })
  const long = await client.messages.countTokens({
    model: 'parrot',
    system: 'Repeat every word that you are told.',
    tools: [weather],
    messages: say('a mill by a river'),
  })
  expect(short.input_tokens).toBeGreaterThan(2)
  expect(long.input_tokens).toBeGreaterThan(short.input_tokens + 10)
})

test('what fails in the middle of a stream is told in it, as its last event', async () => {
  const response = await raw({ ...parrot, stream: true, messages: say('a b c /fail 2') })
  const frames = (await response.text()).trim().split('\n\n')
  const requestId = response.headers.get('request-id')

  expect(response.status).toBe(200)
  expect(frames.at(-1)).toMatch(/^event: error\ndata: /)
  expect(JSON.parse(frames.at(-1)?.split('\ndata: ')[1] ?? '')).toMatchObject({
    type: 'error',
    error: { type: 'api_error', message: expect.any(String) },
    request_id: requestId,
  })
  expect(await rowOf(requestId)).toMatchObject({ status: 'failed', http_status: 200 })

  const stream = client.messages.stream({ ...parrot, messages: say('a b c /fail 2') })
  await expect(stream.finalMessage()).rejects.toBeInstanceOf(Anthropic.APIError)
})

test('a client that goes away ends the call, and the log says so', async () => {
  const stream = client.messages.stream({ ...parrot, messages: say('a b c /stall 2') })
  stream.on('text', (text) => text === ' b' && stream.abort())

  await expect(stream.finalMessage()).rejects.toBeInstanceOf(Anthropic.APIUserAbortError)
  expect(await rowOf(stream.request_id)).toMatchObject({ status: 'cancelled', http_status: 200 })
})

test.each<[string, () => Promise<unknown>, object]>([
  [
    'a wrong key',
    () => clientOf('sk-mr-wrong').messages.create({ ...parrot, messages: say('x') }),
    { status: 401, type: 'authentication_error' },
  ],
  [
    'a model that is not there',
    () => client.messages.create({ ...parrot, model: 'claude-9', messages: say('x') }),
    { status: 404, type: 'not_found_error' },
  ],
  [
    'a model of another surface',
    () => client.messages.create({ ...parrot, model: 'doodle', messages: say('x') }),
    { status: 422, type: 'invalid_request_error', message: expect.stringContaining('/v1/predictions') },
  ],
  [
    'the tokens of a model of another surface',
    () => client.messages.countTokens({ model: 'doodle', messages: say('x') }),
    { status: 422, type: 'invalid_request_error' },
  ],
  [
    'no messages',
    () => client.messages.create({ ...parrot, messages: [] }),
    { status: 400, type: 'invalid_request_error', message: expect.stringContaining('messages') },
  ],
  [
    'a tool that only Anthropic runs',
    () =>
      client.messages.create({
        ...parrot,
        messages: say('x'),
        tools: [{ type: 'web_search_20250305', name: 'web_search' }],
      }),
    { status: 400, type: 'invalid_request_error', message: expect.stringContaining('web_search_20250305') },
  ],
  [
    'too long a body',
    () => client.messages.create({ ...parrot, messages: say('x'.repeat(70_000)) }),
    { status: 413, type: 'request_too_large' },
  ],
  [
    'a host that fails before the first part',
    () => client.messages.create({ ...parrot, messages: say('/fail 0'), stream: true }),
    { status: 502, type: 'api_error' },
  ],
])('%s is refused in words', async (_what, ask, error) => {
  const refusal = await ask().catch((thrown: unknown) => thrown)
  expect(refusal).toBeInstanceOf(Anthropic.APIError)
  expect(refusal).toMatchObject(error)
  expect(refusal).toMatchObject({ requestID: expect.stringMatching(/^req_/) })
})

test('a body that is no JSON, and a method that is not there, are refused in the same shape', async () => {
  const broken = await raw('{"model": ')
  const gone = await callerOf(service.url, service.apiKey)('GET /v1/messages')
  expect([broken.status, await broken.json()]).toEqual([
    400,
    {
      type: 'error',
      error: { type: 'invalid_request_error', message: expect.stringContaining('JSON') },
      request_id: broken.headers.get('request-id'),
    },
  ])
  expect([gone.status, gone.body]).toMatchObject([404, { type: 'error', error: { type: 'not_found_error' } }])
})

function raw(body: object | string): Promise<Response> {
  return fetch(`${service.url}/v1/messages`, {
    method: 'POST',
    headers: { 'x-api-key': service.apiKey, 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}
