import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Service, startService } from './harness/service.ts'

/** It thinks, says a text and makes calls in two parts, with no more of each than a model has to tell. */
const caller = `
  export default {
    namespace: 'caller', type: 'text', apis: ['chat'], input_schema: { type: 'object' },
    async *run() {
      yield { reasoning_content: 'They ask for the weather.' }
      yield 'Let me'
      yield ' look.'
      yield { tool_calls: [{ id: 'call_a', function: { name: 'weather', arguments: '{"city":"Bonn"}' } }] }
      yield { tool_calls: [{ function: { name: 'time', arguments: { zone: 'CET' } } }, { function: { name: 'now' } }] }
    },
  }`

let service: Service
let folder: string
let openai: OpenAI
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-module-chat-'))
  await writeFile(join(folder, 'caller.mjs'), caller)
  const env = { MODELS_DIR: folder }
  service = await startService({ queue: 'redis', workers: 0, dispatchers: 0, env })
  openai = new OpenAI({ apiKey: service.apiKey, baseURL: `${service.url}/v1`, maxRetries: 0 })
})
afterAll(async () => {
  await service.stop()
  await rm(folder, { recursive: true, force: true })
})

const messages = [{ role: 'user' as const, content: 'weather?' }]
const calls = [
  { name: 'weather', arguments: '{"city":"Bonn"}' },
  { name: 'time', arguments: '{"zone":"CET"}' },
  { name: 'now', arguments: '{}' },
]

test.each([false, true])(
  "the calls of a model in a file are told to OpenAI's client (stream: %s)",
  async (stream) => {
    const asked = { model: 'caller', messages }
    const { choices } = stream
      ? await openai.chat.completions.stream(asked).finalChatCompletion()
      : await openai.chat.completions.create(asked)
    const { message, finish_reason } = choices[0] ?? {}
    expect([message?.content, finish_reason]).toEqual(['Let me look.', 'tool_calls'])
    expect(message?.tool_calls).toMatchObject(
      calls.map((called) => ({ id: expect.stringMatching(/^call_/), type: 'function', function: called })),
    )
  },
)

test.each([false, true])('and in a response, to the strict helper (stream: %s)', async (stream) => {
  const asked = { model: 'caller', input: 'weather?' }
  const response = stream
    ? await openai.responses.stream(asked).finalResponse()
    : await openai.responses.create(asked)
  expect(response.output_text).toBe('Let me look.')
  expect(response.output.filter(({ type }) => type === 'function_call')).toMatchObject(calls)
  expect(new Set(response.output.map(({ id }) => id)).size).toBe(5)
})

test.each([false, true])("and to Anthropic's (stream: %s)", async (stream) => {
  const client = new Anthropic({ apiKey: service.apiKey, baseURL: service.url, maxRetries: 0 })
  const asked = { model: 'caller', max_tokens: 100, messages }
  const message = stream
    ? await client.messages.stream(asked).finalMessage()
    : await client.messages.create(asked)
  expect(message.stop_reason).toBe('tool_use')
  expect(message.content.filter(({ type }) => type === 'tool_use')).toMatchObject(
    calls.map(({ name, arguments: args }) => ({ name, input: JSON.parse(args) })),
  )
})
