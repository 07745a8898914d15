import type { ChatChunk, ChatCompletion, ChatDelta, ChatUsage } from '@millrace/inference/chat'
import { InferenceFault } from '@millrace/inference/fault'

/** Answers as hosts stream them, by what is special about each. */
export const answers = {
  'a text': [
    said({ role: 'assistant', content: '' }),
    said({ content: 'Good ' }),
    said({ content: 'day' }),
    ended('stop'),
  ],
  'two parallel calls': [
    said({
      tool_calls: [
        { index: 0, id: 'call_a', type: 'function', function: { name: 'weather', arguments: '' } },
      ],
    }),
    said({ tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] }),
    said({ tool_calls: [{ index: 0, function: { arguments: '"Bonn"}' } }] }),
    said({
      tool_calls: [{ index: 1, id: 'call_b', type: 'function', function: { name: 'time', arguments: '' } }],
    }),
    said({ tool_calls: [{ index: 1, function: { arguments: '{"zone":"CET"}' } }] }),
    ended('tool_calls'),
  ],
  'calls whose arguments come mixed': [
    said({ tool_calls: [{ index: 0, id: 'call_a', function: { name: 'weather', arguments: '{"city"' } }] }),
    said({ tool_calls: [{ index: 1, id: 'call_b', function: { name: 'time', arguments: '{"zone"' } }] }),
    said({ tool_calls: [{ index: 0, function: { arguments: ':"Bonn"}' } }] }),
    said({ tool_calls: [{ index: 1, function: { arguments: ':"CET"}' } }] }),
    ended('tool_calls'),
  ],
  'reasoning, a text and a call': [
    said({ role: 'assistant', reasoning_content: 'They ask ' }),
    said({ reasoning_content: 'for the weather.' }),
    said({ content: 'Let me look.' }),
    said({
      tool_calls: [{ index: 0, id: 'call_a', function: { name: 'weather', arguments: '{"city":"Bonn"}' } }],
    }),
    ended('tool_calls'),
  ],
  'a refusal': [said({ refusal: 'I will ' }), said({ refusal: 'not.' }), ended('stop')],
  'nothing at all': [said({ role: 'assistant', content: '' }), ended('stop')],
  'a text that was cut for its length': [said({ content: 'Once upon' }), ended('length')],
  'a call that was cut for its length': [
    said({ tool_calls: [{ index: 0, id: 'call_a', function: { name: 'weather', arguments: '{"ci' } }] }),
    ended('length'),
  ],
  'a text that was filtered': [said({ content: 'The recipe' }), ended('content_filter')],
  'a call without arguments': [
    said({ tool_calls: [{ index: 0, id: 'call_a', function: { name: 'now', arguments: '' } }] }),
    ended('tool_calls'),
  ],
  'calls that have no ids': [
    said({ tool_calls: [{ index: 0, function: { name: 'weather', arguments: '{}' } }] }),
    said({ tool_calls: [{ index: 1, function: { name: 'time', arguments: '{}' } }] }),
    ended('tool_calls'),
  ],
  'calls of one index': [
    said({ tool_calls: [{ index: 0, id: 'call_a', function: { name: 'weather', arguments: '{}' } }] }),
    said({ tool_calls: [{ index: 0, id: 'call_b', function: { name: 'time', arguments: '{}' } }] }),
    ended('tool_calls'),
  ],
} satisfies Record<string, ChatChunk[]>

/** What all of these answers are said to have cost. */
export const usage: ChatUsage = {
  prompt_tokens: 11,
  completion_tokens: 7,
  total_tokens: 18,
  prompt_tokens_details: { cached_tokens: 4 },
  completion_tokens_details: { reasoning_tokens: 3 },
}

/** The chunks as a host hands them on, with the usage after them, or a fault. */
export async function* streaming(chunks: ChatChunk[], fault?: Error): AsyncGenerator<ChatChunk, void> {
  yield* chunks
  if (fault) throw fault
  yield { ...said({}), choices: [], usage }
}

/** Chunks that nobody may leave open. `closed` tells whether they were. */
export function closable(chunks: ChatChunk[]): AsyncGenerator<ChatChunk, void> & { closed: boolean } {
  const inner = streaming(chunks)
  return Object.assign(Object.create(inner), {
    closed: false,
    next: () => inner.next(),
    async return(this: { closed: boolean }) {
      this.closed = true
      return await inner.return()
    },
    [Symbol.asyncIterator]() {
      return this
    },
  })
}

/** What a host that is cut off in the middle ends in. */
export const cutOff = new InferenceFault('INFERENCE_ERROR', 'The model stopped in the middle of its answer.')

/** The same answer in chunks of one character each. */
export function inCharacters(chunks: ChatChunk[]): ChatChunk[] {
  return chunks.flatMap((chunk) => {
    const { delta, finish_reason: finish } = chunk.choices[0]!
    if (finish) return [chunk]
    return deltasOf(delta).map((one) => said(one))
  })
}

/** The same answer as a host gives it that does not stream. */
export function whole(chunks: ChatChunk[]): ChatCompletion {
  const message: ChatCompletion['choices'][number]['message'] = { role: 'assistant', content: null }
  const calls: { id: string; type: 'function'; function: { name: string; arguments: string } }[] = []
  let finish: string | null = null
  for (const { choices } of chunks) {
    const { delta, finish_reason } = choices[0]!
    for (const field of ['content', 'refusal', 'reasoning_content'] as const) {
      if (delta[field]) message[field] = `${(message[field] as string) ?? ''}${delta[field]}`
    }
    for (const { index, id, function: called } of delta.tool_calls ?? []) {
      const at = id && calls[index] && calls[index].id !== id ? calls.length : index
      calls[at] ??= { id: id ?? '', type: 'function', function: { name: called?.name ?? '', arguments: '' } }
      calls[at].function.arguments += called?.arguments ?? ''
    }
    finish = finish_reason ?? finish
  }
  if (calls.length > 0) message.tool_calls = calls
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1_700_000_000,
    model: 'their-name',
    choices: [{ index: 0, message, finish_reason: finish }],
    usage,
  }
}

/** One chunk that adds this. */
export function said(delta: ChatDelta): ChatChunk {
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'their-name',
    choices: [{ index: 0, delta, finish_reason: null }],
  }
}

function ended(reason: string): ChatChunk {
  const chunk = said({})
  return { ...chunk, choices: [{ index: 0, delta: {}, finish_reason: reason }] }
}

function deltasOf({
  tool_calls: calls = [],
  content,
  refusal,
  reasoning_content: reasoning,
}: ChatDelta): ChatDelta[] {
  return [
    ...[...(reasoning ?? '')].map((one) => ({ reasoning_content: one })),
    ...[...(content ?? '')].map((one) => ({ content: one })),
    ...[...(refusal ?? '')].map((one) => ({ refusal: one })),
    ...calls.flatMap(({ function: called, ...call }) => [
      { tool_calls: [{ ...call, function: { ...called, arguments: '' } }] },
      ...[...(called?.arguments ?? '')].map((one) => ({
        tool_calls: [{ index: call.index, ...(call.id && { id: call.id }), function: { arguments: one } }],
      })),
    ]),
  ]
}
