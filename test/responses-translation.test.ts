import type { ChatMessage, ChatRequest } from '@millrace/inference/chat'
import { fromChatRequest } from '@millrace/inference/responses/from-chat-request'
import { referredIds } from '@millrace/inference/responses/input-items'
import type { ResponsesRequest } from '@millrace/inference/responses/request'
import { toChatRequest } from '@millrace/inference/responses/to-chat-request'
import { toResponse } from '@millrace/inference/responses/to-response'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { answers, whole } from './given-answers.ts'

const schema = { type: 'object', properties: { city: { type: 'string' } } }
const weather = { name: 'weather', description: 'Tells it', parameters: schema, strict: true }
const call = { type: 'function_call', id: 'fc_1', call_id: 'call_a', name: 'weather', arguments: '{}' }
const output = { type: 'function_call_output', call_id: 'call_a', output: 'Rain' }
const calling = {
  role: 'assistant',
  content: null,
  tool_calls: [{ id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{}' } }],
}
const user = { role: 'user', content: 'Hello' }

describe('an input becomes messages', () => {
  test.each<[string, ResponsesRequest['input'], object[]]>([
    ['a string', 'Hello', [user]],
    ['a short message', [{ role: 'user', content: 'Hello' }], [user]],
    [
      'a message with one text',
      [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Hello' }] }],
      [user],
    ],
    [
      'a picture and a file',
      [
        {
          role: 'user',
          content: [
            { type: 'input_text', text: 'What is this?' },
            { type: 'input_image', image_url: 'https://a.example/b.png', detail: 'low' },
            { type: 'input_file', filename: 'a.pdf', file_data: 'data:application/pdf;base64,AAAA' },
          ],
        },
      ],
      [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What is this?' },
            { type: 'image_url', image_url: { url: 'https://a.example/b.png', detail: 'low' } },
            { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,AAAA' } },
          ],
        },
      ],
    ],
    [
      'system and developer messages in their places',
      [{ role: 'developer', content: 'Be kind.' }, user, { role: 'system', content: 'Be short.' }],
      [{ role: 'developer', content: 'Be kind.' }, user, { role: 'system', content: 'Be short.' }],
    ],
    [
      'an answer, and one that was refused',
      [
        {
          type: 'message',
          role: 'assistant',
          content: [{ type: 'output_text', text: 'Hi', annotations: [] }],
        },
        user,
        { type: 'message', role: 'assistant', content: [{ type: 'refusal', refusal: 'No.' }] },
      ],
      [{ role: 'assistant', content: 'Hi' }, user, { role: 'assistant', content: null, refusal: 'No.' }],
    ],
    [
      'a call and its output',
      [user, call, output],
      [user, calling, { role: 'tool', tool_call_id: 'call_a', content: 'Rain' }],
    ],
    [
      'parallel calls of one turn in one message',
      [user, { role: 'assistant', content: 'Let me look.' }, call, { ...call, call_id: 'call_b' }],
      [
        user,
        {
          ...calling,
          content: 'Let me look.',
          tool_calls: [...calling.tool_calls, { ...calling.tool_calls[0], id: 'call_b' }],
        },
      ],
    ],
    [
      'pictures in outputs after the outputs',
      [
        call,
        { ...call, call_id: 'call_b' },
        {
          ...output,
          output: [
            { type: 'input_text', text: 'See' },
            { type: 'input_image', image_url: 'data:x' },
          ],
        },
        { ...output, call_id: 'call_b', output: 'Dry' },
        user,
      ],
      [
        { ...calling, tool_calls: [...calling.tool_calls, { ...calling.tool_calls[0], id: 'call_b' }] },
        { role: 'tool', tool_call_id: 'call_a', content: 'See' },
        { role: 'tool', tool_call_id: 'call_b', content: 'Dry' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'From the result of the call call_a:' },
            { type: 'image_url', image_url: { url: 'data:x' } },
            { type: 'text', text: 'Hello' },
          ],
        },
      ],
    ],
    [
      'reasoning beside the calls of a turn that is not over',
      [
        user,
        { type: 'reasoning', id: 'rs_1', summary: [], content: [{ type: 'reasoning_text', text: 'Hm.' }] },
        call,
        output,
      ],
      [
        user,
        { ...calling, reasoning_content: 'Hm.' },
        { role: 'tool', tool_call_id: 'call_a', content: 'Rain' },
      ],
    ],
    [
      'no reasoning of turns before',
      [
        user,
        { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'Hm.' }] },
        { role: 'assistant', content: 'Hi' },
        user,
      ],
      [user, { role: 'assistant', content: 'Hi' }, user],
    ],
    [
      'no reasoning that only its maker can read',
      [user, { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'x' }, call],
      [user, calling],
    ],
  ])('%s', (_what, input, messages) => {
    expect(toChatRequest({ model: 'llama', input }).messages).toEqual(messages)
  })

  test('after the instructions and the turns before, whose instructions are gone', () => {
    const { messages } = toChatRequest({ model: 'llama', instructions: 'Be short.', input: [output] }, [
      { type: 'message', role: 'user', content: 'Hello' },
      call,
    ])
    expect(messages).toEqual([
      { role: 'system', content: 'Be short.' },
      user,
      calling,
      { role: 'tool', tool_call_id: 'call_a', content: 'Rain' },
    ])
  })

  test('after an answer of ours, in one message with its calls and what was thought', () => {
    const { output: answer } = toResponse(whole(answers['reasoning, a text and a call']), {
      id: 'resp_01hxyz',
      createdAt: 0,
      completedAt: () => 1,
      model: 'llama',
      request: { model: 'llama', input: 'Hello' },
      store: true,
    })
    const before = [{ role: 'user', content: 'Hello' }, ...answer.map((item) => ({ ...item }))]
    expect(toChatRequest({ model: 'llama', input: [output] }, before).messages).toEqual([
      user,
      whole(answers['reasoning, a text and a call']).choices[0]?.message,
      { role: 'tool', tool_call_id: 'call_a', content: 'Rain' },
    ])
  })

  test('with stored items in the place of references, and none twice', () => {
    const request = {
      model: 'llama',
      input: [user, { type: 'item_reference', id: 'fc_1' }, { id: 'msg_0' }, output],
    }
    expect(referredIds(request)).toEqual(['fc_1', 'msg_0'])
    const before = { type: 'message', id: 'msg_0', role: 'assistant', content: 'Hi' }
    expect(toChatRequest(request, [before], new Map([['fc_1', call]])).messages).toEqual([
      { role: 'assistant', content: 'Hi' },
      user,
      calling,
      { role: 'tool', tool_call_id: 'call_a', content: 'Rain' },
    ])
  })
})

test('parameters become those of chat, and what chat has none for stays here', () => {
  expect(
    toChatRequest({
      model: 'llama',
      input: 'Hello',
      stream: true,
      store: true,
      background: false,
      previous_response_id: null,
      metadata: { a: 'b' },
      truncation: 'auto',
      include: ['reasoning.encrypted_content'],
      max_output_tokens: 50,
      temperature: 0,
      top_p: 0.5,
      top_logprobs: 2,
      parallel_tool_calls: false,
      user: 'somebody',
      seed: 7,
      tools: [{ type: 'function', ...weather }],
      tool_choice: { type: 'function', name: 'weather' },
      text: { format: { type: 'json_schema', name: 'city', schema, strict: true }, verbosity: 'low' },
      reasoning: { effort: 'low', summary: 'auto' },
    }),
  ).toEqual({
    model: 'llama',
    messages: [user],
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: 50,
    temperature: 0,
    top_p: 0.5,
    logprobs: true,
    top_logprobs: 2,
    parallel_tool_calls: false,
    user: 'somebody',
    seed: 7,
    tools: [{ type: 'function', function: weather }],
    tool_choice: { type: 'function', function: { name: 'weather' } },
    response_format: { type: 'json_schema', json_schema: { name: 'city', schema, strict: true } },
    verbosity: 'low',
    reasoning_effort: 'low',
  })
})

const two = [
  { type: 'function', ...weather },
  { type: 'function', function: { name: 'time' } },
]
test.each<[string, unknown, unknown, number]>([
  ['auto', 'auto', 'auto', 2],
  ['none', 'none', 'none', 2],
  ['required', 'required', 'required', 2],
  [
    "chat's way of naming one",
    { type: 'function', function: { name: 'time' } },
    { type: 'function', function: { name: 'time' } },
    2,
  ],
  [
    'some that are allowed',
    { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'time' }] },
    'required',
    1,
  ],
  [
    "some in chat's way",
    { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [{ function: { name: 'time' } }] } },
    'auto',
    1,
  ],
])('the choice of tools: %s', (_what, given, choice, tools) => {
  const chat = toChatRequest({ model: 'llama', input: 'Hello', tools: two, tool_choice: given })
  expect(chat.tool_choice).toEqual(choice)
  expect(chat.tools).toHaveLength(tools)
})

test.each<[string, Partial<Record<string, unknown>>, string]>([
  ['a tool that only OpenAI hosts', { tools: [{ type: 'web_search' }] }, 'tools'],
  ['a search in files', { tools: [{ type: 'file_search', vector_store_ids: [] }] }, 'tools'],
  ['an interpreter', { tools: [{ type: 'code_interpreter', container: { type: 'auto' } }] }, 'tools'],
  ['a tool without a name', { tools: [{ type: 'function' }] }, 'tools[0].name'],
  ['tools that are no list', { tools: { type: 'function' } }, 'tools'],
  ['the choice of a hosted tool', { tools: two, tool_choice: { type: 'web_search' } }, 'tool_choice'],
  ['a reference to what is not stored', { input: [{ type: 'item_reference', id: 'msg_9' }] }, 'input'],
  ['an item of another kind', { input: [{ type: 'computer_call', call_id: 'a' }] }, 'input'],
  ['a role that nobody has', { input: [{ role: 'king', content: 'Hello' }] }, 'input'],
  [
    'a picture by the id of a file',
    { input: [{ role: 'user', content: [{ type: 'input_image', file_id: 'f' }] }] },
    'input',
  ],
  ['a part of another kind', { input: [{ role: 'user', content: [{ type: 'smell' }] }] }, 'input'],
  [
    'a text that is none',
    { input: [{ role: 'user', content: [{ type: 'input_text', text: 5 }] }] },
    'input[0].content[0].text',
  ],
  [
    'a call without its id',
    { input: [{ type: 'function_call', name: 'a', arguments: '{}' }] },
    'input[0].call_id',
  ],
  ['an item that is none', { input: ['Hello'] }, 'input[0]'],
  ['a conversation that is stored elsewhere', { conversation: 'conv_1' }, 'conversation'],
  ['a prompt that is stored elsewhere', { prompt: { id: 'pmpt_1' } }, 'prompt'],
  ['a number', { input: 5 }, 'input'],
  ['nothing', { input: undefined }, 'input'],
])('%s is refused with its parameter', (_what, fields, param) => {
  const request = { model: 'llama', input: 'Hello', ...fields } as ResponsesRequest
  expect(() => toChatRequest(request)).toThrow(
    expect.objectContaining({ errorId: 'INVALID_PARAMETER', about: expect.objectContaining({ param }) }),
  )
})

describe('a chat request for a host that speaks only Responses', () => {
  test('has its parameters in their words', () => {
    expect(
      fromChatRequest({
        model: 'llama',
        messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:x' } }] }],
        stream: true,
        stream_options: { include_usage: true },
        max_completion_tokens: 9,
        max_tokens: 8,
        logprobs: true,
        top_logprobs: 3,
        seed: 7,
        stop: null,
        tools: [{ type: 'function', function: { name: 'time' } }],
        tool_choice: { type: 'function', function: { name: 'time' } },
        response_format: { type: 'json_schema', json_schema: { name: 'city', schema } },
        reasoning_effort: 'high',
      }),
    ).toEqual({
      model: 'llama',
      input: [
        {
          type: 'message',
          role: 'user',
          content: [{ type: 'input_image', image_url: 'data:x', detail: 'auto' }],
        },
      ],
      stream: true,
      store: false,
      max_output_tokens: 9,
      include: ['message.output_text.logprobs'],
      top_logprobs: 3,
      seed: 7,
      tools: [{ type: 'function', name: 'time' }],
      tool_choice: { type: 'function', name: 'time' },
      text: { format: { type: 'json_schema', name: 'city', schema } },
      reasoning: { effort: 'high' },
    })
  })

  test.each([
    ['several answers', { n: 2 }, 'n'],
    ['stop sequences', { stop: ['x'] }, 'stop'],
    ['results in the old way', { messages: [{ role: 'function', name: 'a', content: 'b' }] }, 'messages'],
  ])('is refused with %s', (_what, fields, param) => {
    const request = { model: 'llama', messages: [user], ...fields } as ChatRequest
    expect(() => fromChatRequest(request)).toThrow(
      expect.objectContaining({ about: expect.objectContaining({ param }) }),
    )
  })

  test('keeps every message and call there and back', () => {
    fc.assert(
      fc.property(fc.array(turn(), { minLength: 1, maxLength: 5 }), (turns) => {
        const messages = turns.flat()
        const responses = JSON.parse(JSON.stringify(fromChatRequest({ model: 'llama', messages })))
        expect(toChatRequest(responses).messages).toEqual(messages)
      }),
    )
  })
})

/** A turn as clients send it: what the user says, and an answer or calls with their results. */
function turn(): fc.Arbitrary<ChatMessage[]> {
  const text = fc.string({ minLength: 1 })
  const part = fc.oneof(
    text.map((one) => ({ type: 'text', text: one })),
    fc.webUrl().map((url) => ({ type: 'image_url', image_url: { url, detail: 'auto' } })),
  )
  const parts = fc.array(part, { minLength: 2, maxLength: 3 })
  const role = fc.constantFrom('user' as const, 'system' as const, 'developer' as const)
  const asked = fc
    .tuple(role, fc.oneof(text, parts))
    .map(([by, content]): ChatMessage => ({ role: by, content }))
  const answered = text.map((content): ChatMessage[] => [{ role: 'assistant', content }])
  const refused = text.map((refusal): ChatMessage[] => [{ role: 'assistant', content: null, refusal }])
  const called = fc
    .tuple(fc.option(text), fc.uniqueArray(fc.uuid(), { minLength: 1, maxLength: 3 }), fc.json(), text)
    .map(([content, ids, args, result]): ChatMessage[] => [
      {
        role: 'assistant',
        content,
        tool_calls: ids.map((id) => ({
          id,
          type: 'function',
          function: { name: 'weather', arguments: args },
        })),
      },
      ...ids.map((id): ChatMessage => ({ role: 'tool', tool_call_id: id, content: result })),
    ])
  return fc.tuple(asked, fc.oneof(answered, refused, called)).map(([first, rest]) => [first, ...rest])
}
