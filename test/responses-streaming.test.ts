import { chunksOf } from '@millrace/inference/responses/chunks-of'
import type { ResponseEvent } from '@millrace/inference/responses/event'
import { fromResponse } from '@millrace/inference/responses/from-response'
import { placeOf } from '@millrace/inference/responses/item-ids'
import type { ResponseObject } from '@millrace/inference/responses/response'
import { responseEvents } from '@millrace/inference/responses/response-events'
import { toFailedResponse, toResponse } from '@millrace/inference/responses/to-response'
import OpenAI from 'openai'
import { describe, expect, test } from 'vitest'
import { givenEventHost } from './event-host.ts'
import { answers, closable, cutOff, inCharacters, said, streaming, usage, whole } from './given-answers.ts'

const meta = {
  id: 'resp_01hxyz',
  createdAt: 1_700_000_000,
  completedAt: () => 1_700_000_009,
  model: 'llama',
  request: { model: 'llama', input: 'Hello' },
  store: false,
}
const each = Object.entries(answers)

describe.each(each)('%s', (_name, chunks) => {
  test('is read by the strict client as the response that its last event tells', async () => {
    const url = await givenEventHost(() => responseEvents(streaming(chunks), meta))
    const client = new OpenAI({ apiKey: 'sk-test', baseURL: url, maxRetries: 0 })
    const read: unknown[] = []
    const stream = client.responses
      .stream({ model: 'llama', input: 'Hello' })
      .on('event', (event) => read.push(event))
    const final = await stream.finalResponse()
    const told = await eventsOf(chunks)

    expect(read).toHaveLength(told.length)
    expect(final).toMatchObject(JSON.parse(JSON.stringify(lastOf(told))))
    expect(final.output_text).toBe(lastOf(told).output_text)
  })

  test('keeps the grammar: every item is begun, added to and done before the next', async () => {
    const told = await eventsOf(chunks)
    expect(told.map(({ sequence_number: number }) => number)).toEqual(told.map((_, at) => at))
    expect(spelled(told)).toMatch(
      /^created in_progress (item( part( delta)* done)+ end |item( delta)* done end )*(completed|incomplete)$/,
    )
  })

  test('is the same response whether it streamed or not, and however it was cut into chunks', async () => {
    const streamed = lastOf(await eventsOf(chunks))
    expect(lastOf(await eventsOf(inCharacters(chunks)))).toEqual(streamed)
    expect(toResponse(whole(chunks), meta)).toEqual(streamed)
  })

  test('is told again in the same events', async () => {
    expect(await eventsOf(chunks)).toEqual(await eventsOf(chunks))
  })

  test('comes back as the same answer from a host that speaks only Responses', async () => {
    const expected = toResponse(whole(chunks), meta)
    const back = await collected(chunksOf(responseEvents(streaming(chunks), meta)))
    expect(toResponse(whole(back.filter(({ choices }) => choices.length > 0)), meta)).toEqual(expected)
    expect(back.at(-1)).toMatchObject({ choices: [], usage })
    expect(toResponse(fromResponse(expected), meta)).toEqual(expected)
  })
})

test('a response says all that OpenAI says of one', () => {
  const { tools, tool_choice, ...said } = toResponse(whole(answers['a text']), {
    ...meta,
    store: true,
    request: {
      ...meta.request,
      instructions: 'Be short.',
      metadata: { a: 'b' },
      previous_response_id: 'resp_0',
      max_output_tokens: 99,
      temperature: 0.5,
      tools: [{ type: 'function', function: { name: 'now', parameters: {} } }],
      tool_choice: { type: 'function', function: { name: 'now' } },
      reasoning: { effort: 'low' },
    },
  })
  expect(tools).toEqual([{ type: 'function', name: 'now', description: null, parameters: {}, strict: null }])
  expect(tool_choice).toEqual({ type: 'function', name: 'now' })
  expect(said).toEqual({
    id: 'resp_01hxyz',
    object: 'response',
    created_at: 1_700_000_000,
    completed_at: 1_700_000_009,
    status: 'completed',
    background: false,
    error: null,
    incomplete_details: null,
    instructions: 'Be short.',
    max_output_tokens: 99,
    max_tool_calls: null,
    model: 'llama',
    output: [
      {
        type: 'message',
        id: 'msg_01hxyz_0',
        role: 'assistant',
        status: 'completed',
        content: [{ type: 'output_text', text: 'Good day', annotations: [], logprobs: [] }],
      },
    ],
    output_text: 'Good day',
    parallel_tool_calls: true,
    previous_response_id: 'resp_0',
    prompt_cache_key: null,
    reasoning: { effort: 'low', summary: null },
    safety_identifier: null,
    service_tier: 'default',
    store: true,
    temperature: 0.5,
    text: { format: { type: 'text' }, verbosity: 'medium' },
    top_logprobs: 0,
    top_p: 1,
    truncation: 'disabled',
    usage: {
      input_tokens: 11,
      input_tokens_details: { cached_tokens: 4 },
      output_tokens: 7,
      output_tokens_details: { reasoning_tokens: 3 },
      total_tokens: 18,
    },
    user: null,
    metadata: { a: 'b' },
    content_filters: null,
  })
})

test.each([
  ['a text that was cut for its length', 'max_output_tokens'],
  ['a call that was cut for its length', 'max_output_tokens'],
  ['a text that was filtered', 'content_filter'],
] as const)('%s is incomplete: %s', (name, reason) => {
  const response = toResponse(whole(answers[name]), meta)
  expect(response).toMatchObject({ status: 'incomplete', incomplete_details: { reason }, completed_at: null })
  expect(response.output).toMatchObject([{ status: 'incomplete' }])
})

test('reasoning, a text and a call are items in the order in which they came', () => {
  const { output } = toResponse(whole(answers['reasoning, a text and a call']), meta)
  expect(output).toMatchObject([
    {
      type: 'reasoning',
      id: 'rs_01hxyz_0',
      content: [{ type: 'reasoning_text', text: 'They ask for the weather.' }],
    },
    { type: 'message', id: 'msg_01hxyz_1', content: [{ text: 'Let me look.' }] },
    {
      type: 'function_call',
      id: 'fc_01hxyz_2',
      call_id: 'call_a',
      name: 'weather',
      arguments: '{"city":"Bonn"}',
    },
  ])
})

test('calls are told apart though a host mixes, misnumbers or does not name them', () => {
  const callsOf = (name: keyof typeof answers) =>
    toResponse(whole(answers[name]), meta).output.map(
      (item) => item.type === 'function_call' && [item.call_id, item.arguments],
    )
  expect(callsOf('calls whose arguments come mixed')).toEqual([
    ['call_a', '{"city":"Bonn"}'],
    ['call_b', '{"zone":"CET"}'],
  ])
  expect(callsOf('calls of one index')).toEqual([
    ['call_a', '{}'],
    ['call_b', '{}'],
  ])
  expect(callsOf('calls that have no ids')).toEqual([
    ['call_01hxyz_0', '{}'],
    ['call_01hxyz_1', '{}'],
  ])
})

test('arguments that a host gives as an object are told as text', () => {
  const completion = whole(answers['a call without arguments'])
  Object.assign(completion.choices[0]!.message.tool_calls![0]!.function, { arguments: { city: 'Bonn' } })
  expect(toResponse(completion, meta).output).toMatchObject([{ arguments: '{"city":"Bonn"}' }])
})

test("an item's id tells in which response it is", () => {
  expect(placeOf('msg_01hxyz_1')).toEqual({ responseId: 'resp_01hxyz', outputIndex: 1 })
  expect(placeOf('msg_of-somebody-else')).toBeUndefined()
})

test('probabilities of tokens are told with their text', () => {
  const probability = { token: 'Hi', logprob: -0.1, bytes: [72, 105], top_logprobs: [] }
  const chunk = said({ content: 'Hi' })
  const completion = whole([chunk])
  completion.choices[0]!.logprobs = { content: [probability], refusal: null }
  const response = toResponse(completion, meta)
  expect(response.output).toMatchObject([{ content: [{ text: 'Hi', logprobs: [probability] }] }])
  expect(fromResponse({ ...response }).choices[0]?.logprobs).toEqual({
    content: [probability],
    refusal: null,
  })
})

describe('a stream that the host cuts', () => {
  test.each([
    ['before anything came', [], []],
    ['in a text', answers['a text'].slice(0, 2), [{ content: [{ text: 'Good ' }], status: 'incomplete' }]],
    [
      'in a call',
      answers['two parallel calls'].slice(0, 2),
      [{ arguments: '{"city":', status: 'incomplete' }],
    ],
    [
      'in a second call',
      answers['two parallel calls'].slice(0, 4),
      [{ status: 'completed' }, { status: 'incomplete' }],
    ],
  ])('%s ends as failed, with what has come', async (_where, chunks, output) => {
    const url = await givenEventHost(() => responseEvents(streaming(chunks, cutOff), meta))
    const client = new OpenAI({ apiKey: 'sk-test', baseURL: url, maxRetries: 0 })
    const final = await client.responses.stream({ model: 'llama', input: 'Hello' }).finalResponse()

    expect(final).toMatchObject({
      status: 'failed',
      error: { code: 'service_error', message: cutOff.message },
      output,
    })
    expect(final.output).toHaveLength(output.length)
  })

  test('by a mistake of ours tells nothing of it, and throws it to us', async () => {
    const mistake = new TypeError('secret of ours')
    const told: ResponseEvent[] = []
    await expect(async () => {
      for await (const event of responseEvents(streaming([], mistake), meta)) told.push(event)
    }).rejects.toBe(mistake)
    expect(told.at(-1)).toMatchObject({
      type: 'response.failed',
      response: { error: { code: 'internal_error' } },
    })
    expect(JSON.stringify(told)).not.toContain('secret')
  })

  test('is the response that a failure without a stream gives', () => {
    expect(toFailedResponse(cutOff, meta)).toMatchObject({
      status: 'failed',
      output: [],
      error: { code: 'service_error' },
    })
  })
})

describe('a host that speaks only Responses', () => {
  test.each([
    ['says nothing before its end', ['response.created', 'response.completed']],
    ['says only what is done', ['response.created', 'response.output_item.done', 'response.completed']],
    ['sends no done events', undefined],
  ])('is understood when it %s', async (_how, types) => {
    const events = (await eventsOf(answers['reasoning, a text and a call'])).filter(({ type }) =>
      types ? types.includes(type) : !type.endsWith('.done'),
    )
    const back = await collected(chunksOf(of(events)))
    expect(whole(back.filter(({ choices }) => choices.length > 0)).choices).toEqual(
      whole(answers['reasoning, a text and a call']).choices,
    )
  })

  test.each([
    [
      'the response failed',
      [{ type: 'response.failed', response: { error: { code: 'server_error' } } }],
      'INFERENCE_ERROR',
    ],
    ['it has no room', [{ type: 'error', code: 'rate_limit_exceeded', message: 'x' }], 'SERVICE_UNAVAILABLE'],
    ['the prompt is too much', [{ type: 'error', error: { code: 'invalid_prompt' } }], 'INVALID_REQUEST'],
    [
      'the stream ends too early',
      [{ type: 'response.created', response: { id: 'r' } }, null, 5],
      'INFERENCE_ERROR',
    ],
  ])('ends in a fault when %s', async (_what, events, errorId) => {
    await expect(collected(chunksOf(of<unknown>(events)))).rejects.toMatchObject({ errorId })
  })
})

test.each([0, 1, 3])(
  'a client that goes after %i events of a response closes the connection to the host',
  async (count) => {
    const chunks = closable(answers['a text'])
    const events = responseEvents(chunks, meta)
    for (let told = 0; told <= count; told += 1) await events.next()
    await events.return()
    expect(chunks.closed).toBe(true)
  },
)

function lastOf(events: ResponseEvent[]): ResponseObject {
  const last = events.at(-1)
  if (!last || !('response' in last)) throw new Error('The stream has no last event.')
  return last.response
}

async function eventsOf(chunks: Parameters<typeof streaming>[0]): Promise<ResponseEvent[]> {
  return await collected(responseEvents(streaming(chunks), meta))
}

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(structuredClone(item))
  return all
}

async function* of<T>(items: T[]) {
  yield* items
}

/** The events in words short enough for a grammar. */
function spelled(events: ResponseEvent[]): string {
  const words: [RegExp, string][] = [
    [/output_item\.added$/, 'item'],
    [/output_item\.done$/, 'end'],
    [/content_part\.added$/, 'part'],
    [/content_part\.done$/, ''],
    [/\.delta$/, 'delta'],
    [/\.done$/, 'done'],
    [/^response\./, ''],
  ]
  return events
    .map(({ type }) => {
      const [pattern, word] = words.find(([one]) => one.test(type)) ?? [/^$/, type]
      return word === '' && pattern.source.startsWith('^') ? type.replace(pattern, '') : word
    })
    .filter((word) => word !== '')
    .join(' ')
}
