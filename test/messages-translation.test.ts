import Anthropic from '@anthropic-ai/sdk'
import { messagesError } from '@millrace/inference/messages/error-shape'
import type { MessageEvent } from '@millrace/inference/messages/message'
import { messageEvents } from '@millrace/inference/messages/message-events'
import type { MessagesRequest } from '@millrace/inference/messages/request'
import { toChatRequest } from '@millrace/inference/messages/to-chat-request'
import { toMessage } from '@millrace/inference/messages/to-message'
import { describe, expect, test } from 'vitest'
import { givenEventHost } from './event-host.ts'
import { answers, closable, cutOff, inCharacters, said, streaming, whole } from './given-answers.ts'

const meta = { id: 'msg_01hxyz', model: 'llama', stopSequences: ['END'], inputTokens: 10 }
const asked = { model: 'llama', max_tokens: 100, messages: [{ role: 'user' as const, content: 'Hello' }] }

describe.each(Object.entries(answers))('%s', (_name, chunks) => {
  test("is read by Anthropic's client as the message that does not stream", async () => {
    const url = await givenEventHost(() => messageEvents(streaming(chunks), meta))
    const final = await clientOf(url).messages.stream(asked).finalMessage()
    const expected = toMessage(whole(chunks), meta)
    // The client cannot read arguments that were cut; the message that does not stream keeps them as they are.
    const content = expected.content.map((block) =>
      block.type === 'tool_use' && 'unparsed_arguments' in block.input
        ? { ...block, input: expect.anything() }
        : block,
    )
    expect(final).toMatchObject({ ...expected, content })
  })

  test('keeps the grammar: every block is started, added to and stopped before the next', async () => {
    const told = await collected(messageEvents(streaming(chunks), meta))
    expect(told.map(({ type }) => type).join(' ')).toMatch(
      /^message_start ping (content_block_start( content_block_delta)* content_block_stop )*message_delta message_stop$/,
    )
    const places = told.flatMap((event) => ('index' in event ? [event.index] : []))
    expect(places).toEqual([...places].sort((one, other) => one - other))
  })

  test('is the same however it was cut into chunks', async () => {
    const texts = async (as: typeof chunks) => added(await collected(messageEvents(streaming(as), meta)))
    expect(await texts(inCharacters(chunks))).toEqual(await texts(chunks))
  })
})

test.each<[keyof typeof answers, object]>([
  ['a text', { content: [{ type: 'text', text: 'Good day', citations: null }], stop_reason: 'end_turn' }],
  [
    'two parallel calls',
    {
      content: [
        { type: 'tool_use', id: 'call_a', name: 'weather', input: { city: 'Bonn' } },
        { type: 'tool_use', id: 'call_b', name: 'time', input: { zone: 'CET' } },
      ],
      stop_reason: 'tool_use',
    },
  ],
  [
    'reasoning, a text and a call',
    {
      content: [
        { type: 'thinking', thinking: 'They ask for the weather.', signature: '' },
        { type: 'text', text: 'Let me look.', citations: null },
        { type: 'tool_use', id: 'call_a', name: 'weather', input: { city: 'Bonn' } },
      ],
      stop_reason: 'tool_use',
    },
  ],
  [
    'a refusal',
    { content: [{ type: 'text', text: 'I will not.', citations: null }], stop_reason: 'refusal' },
  ],
  ['a text that was filtered', { stop_reason: 'refusal' }],
  ['nothing at all', { content: [], stop_reason: 'end_turn' }],
  ['a text that was cut for its length', { stop_reason: 'max_tokens' }],
  [
    'a call that was cut for its length',
    { content: [{ input: { unparsed_arguments: '{"ci' } }], stop_reason: 'max_tokens' },
  ],
  ['a call without arguments', { content: [{ type: 'tool_use', name: 'now', input: {} }] }],
  ['calls that have no ids', { content: [{ id: 'toolu_01hxyz_0' }, { id: 'toolu_01hxyz_1' }] }],
])('the message of %s', (name, expected) => {
  expect(toMessage(whole(answers[name]), meta)).toMatchObject({
    id: 'msg_01hxyz',
    type: 'message',
    role: 'assistant',
    model: 'llama',
    stop_sequence: null,
    usage: { input_tokens: 7, output_tokens: 7, cache_creation_input_tokens: 0, cache_read_input_tokens: 4 },
    ...expected,
  })
})

test.each([
  ['a sequence of the request', 'END', { stop_reason: 'stop_sequence', stop_sequence: 'END' }],
  ['another one', 'STOP', { stop_reason: 'end_turn', stop_sequence: null }],
  ['the number of a token', 128_009, { stop_reason: 'end_turn', stop_sequence: null }],
])('an answer that was ended by %s', (_what, reason, expected) => {
  const completion = whole([said({ content: 'Hi' })])
  Object.assign(completion.choices[0]!, { finish_reason: 'stop', stop_reason: reason })
  expect(toMessage(completion, meta)).toMatchObject(expected)
})

describe('a stream that fails', () => {
  test.each([
    ['before anything came', []],
    ['in a text', answers['a text'].slice(0, 2)],
    ['in a call', answers['two parallel calls'].slice(0, 2)],
  ])("%s is an error to Anthropic's client", async (_where, chunks) => {
    const url = await givenEventHost(() => messageEvents(streaming(chunks, cutOff), meta))
    const failed = clientOf(url).messages.stream(asked).finalMessage()
    await expect(failed).rejects.toMatchObject({
      error: { type: 'error', error: { type: 'api_error', message: cutOff.message } },
    })
  })

  test('by a mistake of ours tells nothing of it, and throws it to us', async () => {
    const mistake = new TypeError('secret of ours')
    const told: MessageEvent[] = []
    await expect(async () => {
      for await (const event of messageEvents(streaming([], mistake), meta)) told.push(event)
    }).rejects.toBe(mistake)
    expect(told.at(-1)).toMatchObject({ type: 'error', error: { type: 'api_error' } })
    expect(JSON.stringify(told)).not.toContain('secret')
  })
})

test.each([
  [400, 'invalid_request_error'],
  [401, 'authentication_error'],
  [402, 'billing_error'],
  [403, 'permission_error'],
  [404, 'not_found_error'],
  [413, 'request_too_large'],
  [422, 'invalid_request_error'],
  [429, 'rate_limit_error'],
  [451, 'invalid_request_error'],
  [500, 'api_error'],
  [502, 'api_error'],
  [503, 'overloaded_error'],
  [504, 'timeout_error'],
  [529, 'overloaded_error'],
])('an error with the status %i is a %s', (status, type) => {
  const error = { type: 'error', error: { type, message: 'Why.' } }
  expect(messagesError(status, 'Why.')).toEqual(error)
  expect(messagesError(status, 'Why.', 'req_1')).toEqual({ ...error, request_id: 'req_1' })
})

const user = { role: 'user', content: 'Hello' }
const use = { type: 'tool_use', id: 'toolu_a', name: 'weather', input: { city: 'Bonn' } }
const calling = {
  role: 'assistant',
  content: null,
  tool_calls: [
    { id: 'toolu_a', type: 'function', function: { name: 'weather', arguments: '{"city":"Bonn"}' } },
  ],
}
const png = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } }
const pngPart = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }

describe('turns become messages', () => {
  test.each<[string, MessagesRequest['messages'], object[]]>([
    ['a text', [{ role: 'user', content: 'Hello' }], [user]],
    [
      'a text block',
      [{ role: 'user', content: [{ type: 'text', text: 'Hello', cache_control: { type: 'ephemeral' } }] }],
      [user],
    ],
    [
      'pictures',
      [
        {
          role: 'user',
          content: [png, { type: 'image', source: { type: 'url', url: 'https://a.example/b.png' } }],
        },
      ],
      [
        {
          role: 'user',
          content: [pngPart, { type: 'image_url', image_url: { url: 'https://a.example/b.png' } }],
        },
      ],
    ],
    [
      'documents',
      [
        {
          role: 'user',
          content: [
            {
              type: 'document',
              title: 'a.pdf',
              source: { type: 'base64', media_type: 'application/pdf', data: 'AAAA' },
            },
            {
              type: 'document',
              title: 'Notes',
              source: { type: 'text', media_type: 'text/plain', data: 'Some.' },
            },
            { type: 'document', source: { type: 'content', content: [{ type: 'text', text: 'More.' }] } },
            {
              type: 'search_result',
              title: 'Found',
              source: 'https://a.example',
              content: [{ type: 'text', text: 'It.' }],
            },
          ],
        },
      ],
      [
        {
          role: 'user',
          content: [
            { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,AAAA' } },
            { type: 'text', text: 'Notes\nSome.' },
            { type: 'text', text: 'More.' },
            { type: 'text', text: 'Found\nhttps://a.example\nIt.' },
          ],
        },
      ],
    ],
    [
      'an answer with a call',
      [
        asked.messages[0]!,
        {
          role: 'assistant',
          content: [{ type: 'text', text: 'Let me ' }, { type: 'text', text: 'look.' }, use],
        },
      ],
      [user, { ...calling, content: 'Let me look.' }],
    ],
    [
      'results before what else the user says, with their pictures after all of them',
      [
        { role: 'assistant', content: [use, { ...use, id: 'toolu_b' }] },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Hello' },
            { type: 'tool_result', tool_use_id: 'toolu_a', content: [{ type: 'text', text: 'Rain' }, png] },
            { type: 'tool_result', tool_use_id: 'toolu_b', is_error: true, content: 'No such city' },
          ],
        },
      ],
      [
        { ...calling, tool_calls: [...calling.tool_calls, { ...calling.tool_calls[0], id: 'toolu_b' }] },
        { role: 'tool', tool_call_id: 'toolu_a', content: 'Rain' },
        { role: 'tool', tool_call_id: 'toolu_b', content: 'The call failed.\nNo such city' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'From the result of the call toolu_a:' },
            pngPart,
            { type: 'text', text: 'Hello' },
          ],
        },
      ],
    ],
    [
      'a result without content',
      [
        { role: 'assistant', content: [use] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_a' }] },
      ],
      [calling, { role: 'tool', tool_call_id: 'toolu_a', content: '' }],
    ],
    [
      'thinking beside the calls of a turn that is not over, and none of the turns before',
      [
        asked.messages[0]!,
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'Old.', signature: '' },
            { type: 'text', text: 'Hi' },
          ],
        },
        asked.messages[0]!,
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'New.', signature: '' },
            { type: 'redacted_thinking', data: 'x' },
            use,
          ],
        },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_a', content: 'Rain' }] },
      ],
      [
        user,
        { role: 'assistant', content: 'Hi' },
        user,
        { ...calling, reasoning_content: 'New.' },
        { role: 'tool', tool_call_id: 'toolu_a', content: 'Rain' },
      ],
    ],
  ])('%s', (_what, messages, expected) => {
    expect(toChatRequest({ ...asked, messages }).messages).toEqual(expected)
  })

  test.each([
    ['a string', 'Be short.', 'Be short.'],
    [
      'blocks',
      [
        { type: 'text', text: 'Be short.' },
        { type: 'text', text: 'Be kind.' },
      ],
      'Be short.\n\nBe kind.',
    ],
  ])('after the system prompt as %s', (_what, system, content) => {
    expect(toChatRequest({ ...asked, system }).messages).toEqual([{ role: 'system', content }, user])
  })
})

test('an answer of ours comes back as the message that it was, with its calls and what was thought', () => {
  const { content } = toMessage(whole(answers['reasoning, a text and a call']), meta)
  const result = { type: 'tool_result', tool_use_id: 'call_a', content: 'Rain' }
  const messages = [...asked.messages, { role: 'assistant', content }, { role: 'user', content: [result] }]
  expect(toChatRequest({ ...asked, messages }).messages).toEqual([
    user,
    whole(answers['reasoning, a text and a call']).choices[0]?.message,
    { role: 'tool', tool_call_id: 'call_a', content: 'Rain' },
  ])
})

test('parameters become those of chat, and what it has none for is ignored', () => {
  expect(
    toChatRequest({
      ...asked,
      stream: true,
      temperature: 0,
      top_p: 0.9,
      top_k: 5,
      stop_sequences: ['END'],
      metadata: { user_id: 'somebody' },
      thinking: { type: 'enabled', budget_tokens: 1024 },
      output_config: { effort: 'low', format: { type: 'json_schema', schema: { type: 'object' } } },
      service_tier: 'auto',
      context_management: {},
      tools: [
        {
          type: 'custom',
          name: 'weather',
          description: 'Tells it',
          input_schema: { type: 'object' },
          cache_control: {},
        },
      ],
      tool_choice: { type: 'auto', disable_parallel_tool_use: true },
    }),
  ).toEqual({
    model: 'llama',
    messages: [user],
    max_tokens: 100,
    stream: true,
    stream_options: { include_usage: true },
    temperature: 0,
    top_p: 0.9,
    top_k: 5,
    stop: ['END'],
    user: 'somebody',
    reasoning_effort: 'low',
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'answer', schema: { type: 'object' }, strict: true },
    },
    tools: [
      {
        type: 'function',
        function: { name: 'weather', description: 'Tells it', parameters: { type: 'object' } },
      },
    ],
    tool_choice: 'auto',
    parallel_tool_calls: false,
  })
})

test.each([
  [{ type: 'auto' }, 'auto'],
  [{ type: 'any' }, 'required'],
  [{ type: 'none' }, 'none'],
  [
    { type: 'tool', name: 'weather' },
    { type: 'function', function: { name: 'weather' } },
  ],
])('the choice of tools %j', (given, choice) => {
  const chat = toChatRequest({ ...asked, tools: [{ name: 'weather', input_schema: {} }], tool_choice: given })
  expect(chat.tool_choice).toEqual(choice)
  expect(chat).not.toHaveProperty('parallel_tool_calls')
})

const ofUser = (block: unknown) => ({ messages: [{ role: 'user', content: [block] }] })
test.each<[string, Record<string, unknown>, string]>([
  ['no max_tokens', { max_tokens: undefined }, 'max_tokens'],
  ['no messages', { messages: [] }, 'messages'],
  ['an empty message', { messages: [{ role: 'user', content: '' }] }, 'messages'],
  ['messages that are no list', { messages: 'Hello' }, 'messages'],
  ['a message that is none', { messages: [5] }, 'messages[0]'],
  ['a role that nobody has', { messages: [{ role: 'king', content: 'a' }] }, 'messages'],
  ['a picture in the system prompt', { system: [png] }, 'system'],
  ['a tool that Anthropic runs', { tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, 'tools'],
  ['a tool without a schema', { tools: [{ name: 'weather' }] }, 'tools[0].input_schema'],
  [
    'a choice that there is not',
    { tools: [{ name: 'a', input_schema: {} }], tool_choice: { type: 'some' } },
    'tool_choice',
  ],
  ['a block that Anthropic made', ofUser({ type: 'web_search_tool_result', content: [] }), 'messages'],
  [
    'a picture by the id of a file',
    ofUser({ type: 'image', source: { type: 'file', file_id: 'f' } }),
    'messages',
  ],
  [
    'a document by its URL',
    ofUser({ type: 'document', source: { type: 'url', url: 'https://a.example' } }),
    'messages',
  ],
  ['a text that is none', ofUser({ type: 'text' }), 'messages[0].content[0].text'],
  [
    'a result without its call',
    ofUser({ type: 'tool_result', content: 'a' }),
    'messages[0].content[0].tool_use_id',
  ],
])('a request with %s is refused with its parameter', (_what, fields, param) => {
  expect(() => toChatRequest({ ...asked, ...fields } as MessagesRequest)).toThrow(
    expect.objectContaining({ errorId: 'INVALID_PARAMETER', about: expect.objectContaining({ param }) }),
  )
})

test.each([0, 1, 3])(
  'a client that goes after %i events of a message closes the connection to the host',
  async (count) => {
    const chunks = closable(answers['a text'])
    const events = messageEvents(chunks, meta)
    for (let told = 0; told <= count; told += 1) await events.next()
    await events.return()
    expect(chunks.closed).toBe(true)
  },
)

function clientOf(url: string): Anthropic {
  return new Anthropic({ apiKey: 'sk-test', baseURL: url, maxRetries: 0 })
}

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** What the deltas add up to, with all other events. */
function added(events: MessageEvent[]): unknown[] {
  const all: unknown[] = []
  let text = ''
  for (const event of events) {
    if (event.type === 'content_block_delta') text += Object.values(event.delta)[1]
    else {
      all.push(text, event)
      text = ''
    }
  }
  return all
}
