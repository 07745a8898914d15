import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChatChunk, ChatRequest } from '@millrace/inference/chat'
import type { InferenceFault } from '@millrace/inference/fault'
import { openResponsesHost } from '@millrace/inference/responses-host'
import { createUpstreamAgent } from '@millrace/inference/upstream-agent'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'
import { type ChatScript, chunked, event, givenChatHost, head, reset, whole } from './hosts/chat.ts'

let service: Service
let folder: string
let openai: OpenAI
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-speaks-'))
  const env = { MODELS_DIR: folder }
  service = await startService({ queue: 'redis', workers: 0, dispatchers: 0, env })
  openai = new OpenAI({ apiKey: service.apiKey, baseURL: `${service.url}/v1`, maxRetries: 0 })
  // It is a host that speaks Responses itself.
  const provider = { kind: 'openai', base_url: `${service.url}/v1`, model: 'parrot', speaks: ['responses'] }
  const keyed = { ...provider, api_key: `\${FAR_KEY}` }
  const model = { namespace: 'far', type: 'text', apis: ['chat'], provider: keyed }
  await writeFile(join(folder, 'far.json'), JSON.stringify(model))
  await service.processes[0]?.stop()
  await service.start('api', { PORT: new URL(service.url).port, FAR_KEY: service.apiKey })
  await until(() => openai.models.retrieve('far').catch(() => undefined), { what: 'the model' })
}, 60_000)
afterAll(async () => {
  await service.stop()
  await rm(folder, { recursive: true })
})

const messages = [{ role: 'user' as const, content: 'one two three' }]

test('a model whose host speaks only Responses chats', async () => {
  const answer = await openai.chat.completions.create({ model: 'far', messages })
  expect(answer).toMatchObject({
    model: 'far',
    choices: [{ message: { content: 'one two three' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 3, completion_tokens: 3 },
  })

  const stream = openai.chat.completions.stream({ model: 'far', messages })
  const deltas: string[] = []
  stream.on('content', (delta) => deltas.push(delta))
  await stream.done()
  expect(deltas).toEqual(['one', ' two', ' three'])
})

test.each([false, true])('its calls of tools come and go (stream: %s)', async (stream) => {
  const asked = {
    model: 'far',
    messages: [{ role: 'user' as const, content: 'get_weather {"city":"Delft"}' }],
    tools: [{ type: 'function' as const, function: { name: 'get_weather', parameters: { type: 'object' } } }],
  }
  const { choices } = stream
    ? await openai.chat.completions.stream(asked).finalChatCompletion()
    : await openai.chat.completions.create(asked)
  const [call] = choices[0]?.message.tool_calls ?? []
  expect(choices[0]?.finish_reason).toBe('tool_calls')
  expect(call).toMatchObject({ function: { name: 'get_weather', arguments: '{"city":"Delft"}' } })

  const told = await openai.chat.completions.create({
    ...asked,
    messages: [
      ...asked.messages,
      { role: 'assistant', tool_calls: call ? [call] : [] },
      { role: 'tool', tool_call_id: call?.id ?? '', content: 'rain' },
    ],
  })
  expect(told.choices[0]?.message.content).toBe('The tool said: rain')
})

test('its surface of Responses is served as well, and what fails there fails here', async () => {
  const response = await openai.responses.stream({ model: 'far', input: 'one two' }).finalResponse()
  expect(response).toMatchObject({ status: 'completed', output_text: 'one two', model: 'far' })

  const failed = await openai.responses.stream({ model: 'far', input: 'a b /fail 1' }).finalResponse()
  expect(failed).toMatchObject({ status: 'failed', error: { code: 'service_error' } })
})

const created = { type: 'response.created', response: { id: 'r', model: 'inner-model' } }
const delta = { type: 'response.output_text.delta', output_index: 0, delta: 'Hello' }

test.each<[string, ChatScript, Partial<InferenceFault>]>([
  ['a stream that is cut', [...opening(), reset], { errorId: 'INFERENCE_ERROR' }],
  [
    'a stream that ends before its answer',
    chunked(event(created), event(delta)),
    { errorId: 'INFERENCE_ERROR' },
  ],
  ['a stream of nothing', chunked(''), { errorId: 'INFERENCE_ERROR' }],
  ['HTML with 200', whole(200, '<html>', { 'content-type': 'text/html' }), { errorId: 'INFERENCE_ERROR' }],
  ['an error with 200', whole(200, { error: { message: 'no' } }), { errorId: 'INFERENCE_ERROR' }],
  [
    'a refusal of the request',
    whole(400, { error: { message: 'No inner-model today' } }),
    { message: 'No slug today' },
  ],
  ['no room', whole(429, {}), { errorId: 'SERVICE_UNAVAILABLE' }],
  [
    'a response that failed',
    chunked(
      event(created),
      event({ type: 'response.failed', response: { error: { code: 'server_error' } } }),
    ),
    { errorId: 'INFERENCE_ERROR' },
  ],
  [
    'words about itself in a failure',
    chunked(
      event({
        type: 'response.failed',
        response: { error: { code: 'invalid_prompt', message: 'inner-model says no' } },
      }),
    ),
    { errorId: 'INVALID_REQUEST', message: 'slug says no' },
  ],
])('%s is a fault in words', async (_what, script, fault) => {
  await expect(said(script)).rejects.toMatchObject(fault)
})

test('a whole answer to a stream that was asked for is taken apart', async () => {
  const output = [{ type: 'message', content: [{ type: 'output_text', text: 'Hello' }] }]
  expect(await said(whole(200, { id: 'r', created_at: 1, model: 'm', status: 'completed', output }))).toBe(
    'Hello',
  )
})

function opening() {
  return [head(200, { 'content-type': 'text/event-stream' }), event(created), event(delta)] as const
}

async function said(script: ChatScript): Promise<string> {
  const host = await givenChatHost(script)
  const agent = createUpstreamAgent()
  onTestFinished(() => agent.destroy())
  const settings = { name: 'host', baseUrl: host.url, apiKey: undefined, model: 'inner-model' }
  const request: ChatRequest = { model: 'slug', messages, stream: true }
  const call = { signal: new AbortController().signal, requestId: 'req_1' }
  const reply = await openResponsesHost(settings, { agent }).chat(request, call)
  if (reply.kind === 'whole') throw new Error('It is no stream.')
  const chunks: ChatChunk[] = []
  for await (const chunk of reply.chunks) chunks.push(chunk)
  expect(host.asked[0]?.path).toBe('/v1/responses')
  return chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')
}
