import { z } from 'zod'
import { chatCompletion, createChatCompletion, createEmbeddings, embeddings } from '../chat.ts'
import type { ErrorId } from '../errors.ts'
import { answerDeleted, createResponse, inputItems, inputItemsQuery, response } from '../responses.ts'

/** `?stream=true` is the same as `stream: true` in the body. */
const streamQuery = z.object({
  stream: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional()
    .describe('As `stream` of the body'),
})

/** What a request for inference may be refused with, or fail with. */
export const inferenceErrors = [
  'INVALID_REQUEST',
  'INVALID_PARAMETER',
  'MODEL_NOT_FOUND',
  'MODEL_NOT_SUPPORTED',
  'INSUFFICIENT_CREDITS',
  'PAYMENT_REQUIRED',
  'MODEL_FORBIDDEN',
  'CONTENT_POLICY_VIOLATION',
  'RATE_LIMITED',
  'INFERENCE_ERROR',
  'INFERENCE_TIMEOUT',
] as const satisfies ErrorId[]

const responseId = z.object({ id: z.string().describe('resp_…') })
const chatId = z.object({ id: z.string().describe('chatcmpl-…, of an answer to a request with `store`') })

/** A response that is there may be streamed, from any event on. */
const streamedFrom = streamQuery.extend({
  stream: streamQuery.shape.stream.describe('Tell it as a stream of events'),
  starting_after: z.coerce
    .number()
    .int()
    .min(0, 'must be at least 0')
    .max(2 ** 31, 'must be at most 2147483648')
    .optional()
    .describe('Of its events only those after this `sequence_number`'),
})

/** Text in, text out: one request, one answer. */
export const inferenceEndpoints = {
  createChatCompletion: {
    method: 'post',
    path: '/v1/chat/completions',
    tag: 'Inference',
    scope: 'inference:write',
    summary: 'Answer a conversation (OpenAI’s chat completions)',
    description:
      'One request, one answer, without a prediction. Parameters that are not listed here go to the host of the model as they are. A stream ends with `[DONE]`, or with an error.',
    envelope: 'inference',
    query: streamQuery,
    body: createChatCompletion,
    example: { model: 'parrot', messages: [{ role: 'user', content: 'Hello, mill.' }] },
    errors: inferenceErrors,
    replies: {
      200: {
        description: 'The answer; with `stream`, its chunks as they come',
        schema: chatCompletion,
        stream: true,
      },
    },
  },
  createEmbeddings: {
    method: 'post',
    path: '/v1/embeddings',
    tag: 'Inference',
    scope: 'inference:write',
    summary: 'Embed texts (OpenAI’s embeddings)',
    description:
      'A vector for each text. Texts that are near each other in meaning are near each other there.',
    envelope: 'inference',
    body: createEmbeddings,
    example: { model: 'hash-embed', input: ['a mill by a river', 'a river by a mill'] },
    errors: inferenceErrors,
    replies: { 200: { description: 'A vector for each text, in their order', schema: embeddings } },
  },
  createResponse: {
    method: 'post',
    path: '/v1/responses',
    tag: 'Inference',
    scope: 'inference:write',
    summary: 'Answer a turn of a conversation (OpenAI’s responses)',
    description:
      'A turn goes on from an earlier one by `previous_response_id`. A stream always ends with `response.completed`, `response.incomplete` or `response.failed`. With `background` the response is a prediction of the same id, with its webhooks.',
    envelope: 'inference',
    query: streamQuery,
    headers: ['Idempotency-Key'],
    body: createResponse,
    example: { model: 'parrot', input: 'Hello, mill.' },
    errors: [
      ...inferenceErrors,
      'INVALID_WEBHOOK_URL',
      'PREDICTION_NOT_FOUND',
      'IDEMPOTENCY_IN_PROGRESS',
      'IDEMPOTENCY_KEY_REUSED',
    ],
    replies: {
      200: {
        description: 'The response; with `stream`, its events as they come',
        schema: response,
        stream: true,
      },
    },
  },
  getResponse: {
    method: 'get',
    path: '/v1/responses/{id}',
    tag: 'Inference',
    scope: 'inference:write',
    summary: 'Get a stored response',
    description:
      'As it is now. With `stream` its events are told again; those of a background response that is under way go on live.',
    envelope: 'inference',
    params: responseId,
    query: streamedFrom,
    errors: ['ANSWER_NOT_FOUND', 'INVALID_PARAMETER'],
    replies: { 200: { description: 'The response', schema: response, stream: true } },
  },
  listInputItems: {
    method: 'get',
    path: '/v1/responses/{id}/input_items',
    tag: 'Inference',
    scope: 'inference:write',
    summary: 'List what a response was given',
    description: 'The items of its own turn, not those of the turns before.',
    envelope: 'inference',
    params: responseId,
    query: inputItemsQuery,
    errors: ['ANSWER_NOT_FOUND', 'INVALID_PARAMETER'],
    replies: { 200: { description: 'The items', schema: inputItems } },
  },
  deleteResponse: {
    method: 'delete',
    path: '/v1/responses/{id}',
    tag: 'Inference',
    scope: 'inference:write',
    summary: 'Delete a stored response',
    description: 'It cannot be got or continued any more. One that is under way is stopped first.',
    envelope: 'inference',
    params: responseId,
    errors: ['ANSWER_NOT_FOUND'],
    replies: { 200: { description: 'It is gone', schema: answerDeleted } },
  },
  cancelResponse: {
    method: 'post',
    path: '/v1/responses/{id}/cancel',
    tag: 'Inference',
    scope: 'inference:write',
    summary: 'Cancel a background response',
    description: 'Stops it, and answers it as it is then. One that has ended stays as it ended.',
    envelope: 'inference',
    params: responseId,
    errors: ['ANSWER_NOT_FOUND', 'INVALID_REQUEST'],
    replies: { 200: { description: 'The response', schema: response } },
  },
  getChatCompletion: {
    method: 'get',
    path: '/v1/chat/completions/{id}',
    tag: 'Inference',
    scope: 'inference:write',
    summary: 'Get a stored chat completion',
    description: 'An answer that was asked for with `store: true`, as it was.',
    envelope: 'inference',
    params: chatId,
    errors: ['ANSWER_NOT_FOUND'],
    replies: { 200: { description: 'The answer', schema: chatCompletion } },
  },
  deleteChatCompletion: {
    method: 'delete',
    path: '/v1/chat/completions/{id}',
    tag: 'Inference',
    scope: 'inference:write',
    summary: 'Delete a stored chat completion',
    description: 'It cannot be got any more.',
    envelope: 'inference',
    params: chatId,
    errors: ['ANSWER_NOT_FOUND'],
    replies: { 200: { description: 'It is gone', schema: answerDeleted } },
  },
} as const
