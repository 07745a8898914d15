import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Service, startService } from './harness/service.ts'
import { loggedCall } from './logged-call.ts'

let service: Service
let openai: OpenAI
beforeAll(async () => {
  service = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  openai = clientOf(service.apiKey)
})
afterAll(() => service.stop())

function clientOf(apiKey: string): OpenAI {
  return new OpenAI({ apiKey, baseURL: `${service.url}/v1`, maxRetries: 0 })
}

const say = (content: string) => [{ role: 'user' as const, content }]

const rowOf = (requestId: string | null | undefined) => loggedCall(service, requestId)

test('a conversation is answered', async () => {
  const answer = await openai.chat.completions.create({ model: 'parrot', messages: say('a mill by a river') })

  expect(answer).toMatchObject({
    object: 'chat.completion',
    model: 'parrot',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'a mill by a river' },
        finish_reason: 'stop',
        content_filter_results: { hate: { filtered: false, severity: 'safe' } },
      },
    ],
    prompt_filter_results: [{ prompt_index: 0 }],
    usage: { prompt_tokens: 5, completion_tokens: 5, total_tokens: 10 },
  })
  expect(answer.id).toMatch(/^chatcmpl-/)
  expect(await rowOf(answer._request_id)).toMatchObject({
    surface: 'chat',
    model: 'parrot',
    served_model: 'parrot',
    host: 'module',
    status: 'succeeded',
    http_status: 200,
    input_tokens: 5,
    output_tokens: 5,
    estimated: false,
    stream: false,
    account_id: service.accountId,
  })
})

test('an answer streams while it is made, and ends with its tokens where they are asked for', async () => {
  const stream = await openai.chat.completions.create({
    model: 'parrot',
    messages: say('one two three'),
    stream: true,
    stream_options: { include_usage: true },
  })
  const chunks: OpenAI.Chat.ChatCompletionChunk[] = []
  for await (const chunk of stream) chunks.push(chunk)

  expect(new Set(chunks.map(({ id }) => id)).size).toBe(1)
  expect(chunks.map(({ choices }) => choices[0]?.delta.content).filter(Boolean)).toEqual([
    'one',
    ' two',
    ' three',
  ])
  expect(chunks.at(-2)?.choices[0]).toMatchObject({ finish_reason: 'stop' })
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 3 } })
})

test('the strict helper of the official client takes the stream', async () => {
  const runner = openai.chat.completions.stream({ model: 'parrot', messages: say('one two three') })
  expect(await runner.finalContent()).toBe('one two three')
})

test('a tool is called, and its answer goes on with the conversation', async () => {
  const tools = [
    {
      type: 'function' as const,
      function: { name: 'get_weather', parameters: { type: 'object', required: ['city'] } },
    },
  ]
  const messages = say('get_weather {"city":"Delft"}')
  const asked = await openai.chat.completions.create({ model: 'parrot', messages, tools })
  const [call] = asked.choices[0]?.message.tool_calls ?? []
  expect(asked.choices[0]?.finish_reason).toBe('tool_calls')
  expect(call).toMatchObject({
    type: 'function',
    function: { name: 'get_weather', arguments: '{"city":"Delft"}' },
  })

  const told = await openai.chat.completions.create({
    model: 'parrot',
    tools,
    messages: [
      ...messages,
      { role: 'assistant', tool_calls: call ? [call] : [] },
      { role: 'tool', tool_call_id: call?.id ?? '', content: 'rain' },
    ],
  })
  expect(told.choices[0]?.message.content).toBe('The tool said: rain')
})

test('images go along with a message', async () => {
  const answer = await openai.chat.completions.create({
    model: 'parrot',
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Look.' },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } },
        ],
      },
    ],
  })
  expect(answer.choices[0]?.message.content).toBe('Look. I see 1 image.')
})

test('an answer that is too long for its limit says so', async () => {
  const answer = await openai.chat.completions.create({
    model: 'parrot',
    max_tokens: 2,
    messages: say('a b c d'),
  })
  expect(answer.choices[0]).toMatchObject({ message: { content: 'a b' }, finish_reason: 'length' })
})

test('what fails in the middle of a stream is told in it, and the stream has no normal end', async () => {
  const response = await fetch(`${service.url}/v1/chat/completions?stream=true`, {
    method: 'POST',
    headers: { 'x-api-key': service.apiKey, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'parrot', messages: say('a b c /fail 2') }),
  })
  const frames = (await response.text()).trim().split('\n\n')

  expect(response.status).toBe(200)
  expect(JSON.parse(frames.at(-1)?.slice('data: '.length) ?? '')).toMatchObject({
    error: { error_id: 'INFERENCE_ERROR', status: 502, type: 'server_error', code: 'service_error' },
  })
  expect(frames).not.toContain('data: [DONE]')
  expect(await rowOf(response.headers.get('x-request-id'))).toMatchObject({
    status: 'failed',
    http_status: 200,
    error_id: 'INFERENCE_ERROR',
  })
})

test('what fails before the first part has a status of its own', async () => {
  const asked = openai.chat.completions.create({ model: 'parrot', messages: say('/fail 0'), stream: true })
  await expect(asked).rejects.toMatchObject({ status: 502, code: 'service_error' })
})

test('a client that goes away ends the call within the second, and the log says so', async () => {
  const abort = new AbortController()
  const stream = await openai.chat.completions.create(
    { model: 'parrot', messages: say('a b c /stall 2'), stream: true },
    { signal: abort.signal, headers: { 'x-request-id': 'gone-in-the-middle' } },
  )
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content === ' b') abort.abort()

  expect(await rowOf('gone-in-the-middle')).toMatchObject({ status: 'cancelled', http_status: 200 })
})

test.each<[string, () => Promise<unknown>, object]>([
  ['a wrong key', () => clientOf('sk-mr-wrong').models.list(), { status: 401 }],
  [
    'a wrong key of a chat',
    () => clientOf('sk-mr-wrong').chat.completions.create({ model: 'parrot', messages: say('x') }),
    { status: 401, code: 'invalid_api_key', type: 'authentication_error' },
  ],
  [
    'a model that is not there',
    () => openai.chat.completions.create({ model: 'gpt-9', messages: say('x') }),
    { status: 404, code: 'model_not_found', param: 'model' },
  ],
  [
    'a model of another surface',
    () => openai.chat.completions.create({ model: 'doodle', messages: say('x') }),
    { status: 422, code: 'model_not_supported', message: expect.stringContaining('/v1/predictions') },
  ],
  [
    'a parameter that is out of range',
    () => openai.chat.completions.create({ model: 'parrot', temperature: 3, messages: say('x') }),
    { status: 400, code: 'invalid_parameter', param: 'temperature' },
  ],
  [
    'no messages',
    () => openai.chat.completions.create({ model: 'parrot', messages: [] }),
    { status: 400, param: 'messages' },
  ],
])('%s is refused in words', async (_what, ask, error) => {
  await expect(ask()).rejects.toMatchObject(error)
})

test('a refused call leaves a row, too', async () => {
  const error = await openai.chat.completions
    .create({ model: 'gpt-9', messages: say('x') })
    .catch((refusal: unknown) => refusal as InstanceType<typeof OpenAI.APIError>)
  expect(await rowOf('requestID' in error ? error.requestID : '')).toMatchObject({
    status: 'failed',
    http_status: 404,
    error_id: 'MODEL_NOT_FOUND',
    model: 'gpt-9',
  })
})

test('texts are embedded as floats and as base64, in their order', async () => {
  const input = ['a mill by a river', 'a river by a mill', 'nothing of that']
  // The client asks for base64 unless told otherwise.
  const { data, usage } = await openai.embeddings.create({ model: 'hash-embed', input })
  const floats = await openai.embeddings.create({ model: 'hash-embed', input, encoding_format: 'float' })
  const cut = await openai.embeddings.create({ model: 'hash-embed', input, dimensions: 16 })

  expect(data.map(({ index }) => index)).toEqual([0, 1, 2])
  const rounded = (vector: number[] = []) => vector.map((value) => Math.fround(value))
  expect(data.map(({ embedding }) => rounded(embedding))).toEqual(
    floats.data.map(({ embedding }) => rounded(embedding)),
  )
  expect(usage).toEqual({ prompt_tokens: 13, total_tokens: 13 })
  expect(cut.data[0]?.embedding).toHaveLength(16)
  expect(Math.hypot(...(cut.data[0]?.embedding ?? []))).toBeCloseTo(1)
})
