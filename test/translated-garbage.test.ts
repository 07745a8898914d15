import type { ChatChunk } from '@millrace/inference/chat'
import { InferenceFault } from '@millrace/inference/fault'
import { messageEvents } from '@millrace/inference/messages/message-events'
import type { MessagesRequest } from '@millrace/inference/messages/request'
import { toChatRequest as fromMessages } from '@millrace/inference/messages/to-chat-request'
import { chunksOf } from '@millrace/inference/responses/chunks-of'
import type { ResponsesRequest } from '@millrace/inference/responses/request'
import { responseEvents } from '@millrace/inference/responses/response-events'
import { toChatRequest as fromResponses } from '@millrace/inference/responses/to-chat-request'
import fc from 'fast-check'
import { expect, test } from 'vitest'

/** Values that look like what is expected in some places, and not in others. */
const { value, object } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.constantFrom(
      ...['message', 'text', 'input_text', 'tool_use', 'function', 'user', 'assistant', 'file', '{}'],
    ),
    fc.constantFrom(null, 0, -1, true, ''),
    fc.array(tie('value'), { maxLength: 3 }),
    tie('object'),
  ),
  object: fc.dictionary(
    fc.constantFrom(
      ...[
        'type',
        'role',
        'content',
        'text',
        'name',
        'function',
        'tools',
        'source',
        'id',
        'call_id',
        'output',
        'summary',
      ],
      ...[
        'delta',
        'item',
        'response',
        'index',
        'tool_calls',
        'arguments',
        'usage',
        'choices',
        'finish_reason',
        'error',
        // What makes a text of an object.
        'toString',
      ],
    ),
    tie('value'),
    { maxKeys: 6 },
  ),
}))

test.each<[string, string[], (fields: Record<string, unknown>) => unknown]>([
  [
    'Responses',
    ['input', 'tools', 'tool_choice', 'text', 'reasoning', 'instructions', 'include'],
    (fields) => fromResponses({ model: 'llama', ...fields } as ResponsesRequest),
  ],
  [
    'Messages',
    ['messages', 'system', 'tools', 'tool_choice', 'output_config', 'metadata', 'stop_sequences'],
    (fields) => fromMessages({ model: 'llama', max_tokens: 9, ...fields } as MessagesRequest),
  ],
])('a request of %s is translated or refused, whatever is in it', (_protocol, names, translate) => {
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...names), value), (fields) => {
      try {
        translate(fields)
      } catch (error) {
        expect(error).toBeInstanceOf(InferenceFault)
      }
    }),
    { numRuns: 2_000 },
  )
})

const meta = {
  id: 'resp_1',
  createdAt: 0,
  completedAt: () => 1,
  model: 'llama',
  request: { model: 'llama' },
  store: false,
}

test('the events of a host that speaks Responses are read or end in a fault, whatever is in them', async () => {
  const types = [
    'created',
    'output_item.added',
    'output_item.done',
    'output_text.delta',
    'completed',
    'failed',
    'x',
  ]
  const event = fc
    .tuple(fc.constantFrom(...types), object)
    .map(([type, fields]) => ({ ...Object(fields), type: `response.${type}` }))
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(event, value), { maxLength: 8 }), async (events) => {
      try {
        await drained(chunksOf(of(events)))
      } catch (error) {
        expect(error).toBeInstanceOf(InferenceFault)
      }
    }),
  )
})

test('a stream ends as it must, whatever is in its chunks', async () => {
  const choice = fc.record({
    delta: value,
    finish_reason: fc.constantFrom(null, 'stop', 'odd'),
    logprobs: value,
  })
  const chunk = fc.record({
    choices: fc.oneof(fc.array(choice, { maxLength: 2 }), fc.constant(undefined)),
    usage: fc.constant(null),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(chunk, { maxLength: 5 }), async (chunks) => {
      const response = await drained(responseEvents(of(chunks as ChatChunk[]), meta))
      expect(response).toMatchObject({ type: 'response.completed' })
      const message = await drained(messageEvents(of(chunks as ChatChunk[]), { id: 'msg_1', model: 'llama' }))
      expect(message).toEqual({ type: 'message_stop' })
    }),
  )
})

async function* of<T>(items: T[]): AsyncGenerator<T, void> {
  yield* items
}

/** Gives the last one. */
async function drained<T>(items: AsyncIterable<T>): Promise<T | undefined> {
  let last: T | undefined
  for await (const item of items) last = item
  return last
}
