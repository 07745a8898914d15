import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { embedMany, generateText, isStepCount, jsonSchema, streamText, tool } from 'ai'
import OpenAI from 'openai'
import { createClient } from 'skytells'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RemoteService, startRemoteService } from './given-hosts.ts'
import { until } from './harness/wait.ts'
import {
  type ChatHost,
  type ChatScript,
  chunked,
  completion,
  givenChatHost,
  hello,
  whole,
} from './hosts/chat.ts'

let service: RemoteService
beforeAll(async () => {
  service = await startRemoteService({ workers: 0, dispatchers: 0 })
})
afterAll(() => service.stop())

const say = (content: string) => [{ role: 'user' as const, content }]
const broken = whole(500, { error: { message: 'it broke' } })

describe('the AI SDK of Vercel', () => {
  const millrace = () =>
    createOpenAICompatible({
      name: 'millrace',
      baseURL: `${service.url}/v1`,
      apiKey: service.apiKey,
      includeUsage: true,
    })

  test('has a text made, with its tokens', async () => {
    const { text, finishReason, usage } = await generateText({
      model: millrace()('parrot'),
      prompt: 'a mill by a river',
    })
    expect(text).toBe('a mill by a river')
    expect(finishReason).toBe('stop')
    expect(usage).toMatchObject({ inputTokens: 5, outputTokens: 5 })
  })

  test('streams a text, part by part', async () => {
    const { textStream, usage } = streamText({ model: millrace()('parrot'), prompt: 'one two three' })
    const parts: string[] = []
    for await (const part of textStream) parts.push(part)
    expect(parts).toEqual(['one', ' two', ' three'])
    expect(await usage).toMatchObject({ outputTokens: 3 })
  })

  test('runs a tool in the middle of a stream, and goes on with what it said', async () => {
    const asked: unknown[] = []
    const { text, steps } = streamText({
      model: millrace()('parrot'),
      prompt: 'get_weather {"city":"Delft"}',
      stopWhen: isStepCount(2),
      tools: {
        get_weather: tool({
          description: 'The weather of a city',
          inputSchema: jsonSchema<{ city: string }>({
            type: 'object',
            required: ['city'],
            properties: { city: { type: 'string' } },
          }),
          execute: (input) => {
            asked.push(input)
            return 'rain'
          },
        }),
      },
    })
    expect(await text).toBe('The tool said: rain')
    expect(asked).toEqual([{ city: 'Delft' }])
    expect((await steps).map(({ finishReason }) => finishReason)).toEqual(['tool-calls', 'stop'])
  })

  test('embeds several texts, in their order', async () => {
    const { embeddings, usage } = await embedMany({
      model: millrace().embeddingModel('hash-embed'),
      values: ['a mill by a river', 'a river by a mill', 'nothing of that'],
    })
    const [mill, river, other] = embeddings as [number[], number[], number[]]
    expect(nearness(mill, river)).toBeGreaterThan(nearness(mill, other))
    expect(usage.tokens).toBe(13)
  })

  test('throws what failed in the middle of a stream', async () => {
    const failures: unknown[] = []
    const { textStream } = streamText({
      model: millrace()('parrot'),
      prompt: 'a b c /fail 2',
      onError: ({ error }) => void failures.push(error),
    })
    const parts: string[] = []
    for await (const part of textStream) parts.push(part)
    expect(parts).toEqual(['a', ' b'])
    expect(failures).toHaveLength(1)
    expect(JSON.stringify(failures)).toContain('The parrot was told to fail.')
  })

  test('tells a refused request in its words', async () => {
    const asked = generateText({ model: millrace()('gpt-9'), prompt: 'x', maxRetries: 0 })
    await expect(asked).rejects.toMatchObject({
      statusCode: 404,
      isRetryable: false,
      data: { error: { code: 'model_not_found', param: 'model' } },
    })
  })
})

describe('the skytells package', () => {
  test('finds the models that chat, and where', async () => {
    const models = await createClient(service.apiKey, { baseUrl: `${service.url}/v1` }).listModels()
    expect(models).toContainEqual(
      expect.objectContaining({
        namespace: 'parrot',
        apis: expect.arrayContaining([{ name: 'chat', path: '/v1/chat/completions' }]),
        metadata: expect.objectContaining({ openai_compatible: true }),
      }),
    )
  })

  // The published package has no calls for chat; its next generation sends its key in both headers.
  test('may send its key both ways, and has the fields of the safety filter', async () => {
    const response = await fetch(`${service.url}/v1/chat/completions`, {
      method: 'POST',
      headers: {
        'x-api-key': service.apiKey,
        authorization: `Bearer ${service.apiKey}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ model: 'parrot', messages: say('hello') }),
    })
    const found = { filtered: false, severity: 'safe' }
    const all = { hate: found, self_harm: found, sexual: found, violence: found }
    expect(await response.json()).toMatchObject({
      choices: [{ message: { content: 'hello' }, content_filter_results: all }],
      prompt_filter_results: [{ prompt_index: 0, content_filter_results: all }],
    })
  })
})

describe('the client of OpenAI', () => {
  test('lists the models, and finds one', async () => {
    const models: OpenAI.Model[] = []
    for await (const model of clientOf().models.list()) models.push(model)
    expect(models.map(({ id }) => id)).toEqual(expect.arrayContaining(['parrot', 'hash-embed', 'echo']))
    expect(new Set(models.map(({ object }) => object))).toEqual(new Set(['model']))
    expect(await clientOf().models.retrieve('parrot')).toMatchObject({ id: 'parrot', object: 'model' })
  })

  test('notices nothing of a host that fails once: it is asked again before anything was said', async () => {
    const host = await givenHost('mended', [broken, chunked(...hello)])
    const stream = await clientOf().chat.completions.create({
      model: 'mended',
      messages: say('hi'),
      stream: true,
    })
    expect(await textOf(stream)).toBe('Hello mill')
    expect(host.asked).toHaveLength(2)
  })

  test('asks again by itself where the service does not', async () => {
    const host = await givenHost('once', [broken, whole(200, completion('There.'))], { retries: 0 })
    await expect(
      clientOf().chat.completions.create({ model: 'once', messages: say('hi') }),
    ).rejects.toMatchObject({ status: 502, code: 'service_error' })
    host.answerWith(script([broken, whole(200, completion('There.'))]))

    const answer = await clientOf({ maxRetries: 1 }).chat.completions.create({
      model: 'once',
      messages: say('hi'),
    })

    expect(answer.choices[0]?.message.content).toBe('There.')
    expect(host.asked).toHaveLength(3)
  })

  test('asks a busy host again when that says so', async () => {
    const busy = whole(429, { error: { message: 'slow down' } }, { 'retry-after': '1' })
    const host = await givenHost('busy', [busy, whole(200, completion('There.'))], { retries: 0 })
    const answer = await clientOf({ maxRetries: 1 }).chat.completions.create({
      model: 'busy',
      messages: say('hi'),
    })
    expect(answer.choices[0]?.message.content).toBe('There.')
    expect(host.asked).toHaveLength(2)
  })

  test('gives up after its own time, and the host is let go each time', async () => {
    const host = await givenHost('silent', () => undefined)
    const asked = clientOf({ maxRetries: 1, timeout: 1_500 }).chat.completions.create({
      model: 'silent',
      messages: say('hi'),
    })
    await expect(asked).rejects.toBeInstanceOf(OpenAI.APIConnectionTimeoutError)
    expect(host.asked).toHaveLength(2)
    await until(() => host.open() === 0, { what: 'the connections to close' })
    expect(await endedRows('silent', 2)).toEqual([
      { status: 'cancelled', http_status: 499 },
      { status: 'cancelled', http_status: 499 },
    ])
  })

  test('aborts an answer that is awaited, and the host is let go', async () => {
    const host = await givenHost('awaited', () => undefined)
    const abort = new AbortController()
    const asked = clientOf({ maxRetries: 2 }).chat.completions.create(
      { model: 'awaited', messages: say('hi') },
      { signal: abort.signal },
    )
    await until(() => host.asked.length === 1, { what: 'the host to be asked' })
    abort.abort()
    await expect(asked).rejects.toBeInstanceOf(OpenAI.APIUserAbortError)
    await until(() => host.open() === 0, { what: 'the connection to close' })
    expect(await endedRows('awaited', 1)).toEqual([{ status: 'cancelled', http_status: 499 }])
    expect(host.asked).toHaveLength(1)
  })

  test('aborts a stream by leaving its loop, and the host is let go', async () => {
    const host = await givenHost('left', [chunked(...hello).slice(0, 3)])
    const stream = await clientOf().chat.completions.create({
      model: 'left',
      messages: say('hi'),
      stream: true,
    })
    for await (const part of stream) if (part.choices[0]?.delta.content) break
    await until(() => host.open() === 0, { what: 'the connection to close' })
    expect(await endedRows('left', 1)).toEqual([{ status: 'cancelled', http_status: 200 }])
  })
})

function clientOf(options: { maxRetries?: number; timeout?: number } = {}): OpenAI {
  return new OpenAI({ apiKey: service.apiKey, baseURL: `${service.url}/v1`, maxRetries: 0, ...options })
}

/** A model at a host that answers with these, one after the other, and with the last of them from then on. */
async function givenHost(
  model: string,
  answers: readonly ChatScript[] | ChatScript,
  traits: object = {},
): Promise<ChatHost> {
  const host = await givenChatHost(typeof answers === 'function' ? answers : script(answers as Answers))
  await service.serve({
    [model]: { type: 'text', apis: ['chat'], ...traits, provider: { kind: 'openai', base_url: host.url } },
  })
  return host
}

function script(answers: Answers): ChatScript {
  let next = 0
  return () => {
    const answer = answers[Math.min(next, answers.length - 1)]
    next += 1
    return answer
  }
}

async function textOf(stream: AsyncIterable<OpenAI.Chat.ChatCompletionChunk>): Promise<string> {
  const parts: string[] = []
  for await (const { choices } of stream) parts.push(choices[0]?.delta.content ?? '')
  return parts.join('')
}

/** The rows of the activity log for a model, once so many calls have ended. */
async function endedRows(model: string, count: number): Promise<{ status: string; http_status: number }[]> {
  return until(
    async () => {
      const { rows } = await service.db.pool.query(
        `select status, http_status from requests where model = $1 and status <> 'running' order by id`,
        [model],
      )
      return rows.length === count && rows
    },
    { what: 'the rows of the calls' },
  )
}

function nearness(a: number[], b: number[]): number {
  return a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0)
}

type Answers = readonly Exclude<ChatScript, (...args: never[]) => unknown>[]
