import { z } from 'zod'
import { chatCompletion, createChatCompletion, createEmbeddings, embeddings } from '../chat.ts'
import type { ErrorId } from '../errors.ts'

/** `?stream=true` is the same as `stream: true` in the body. */
const streamQuery = z.object({
  stream: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional()
    .describe('As `stream` of the body'),
})

const inferenceErrors = [
  'INVALID_REQUEST',
  'INVALID_PARAMETER',
  'MODEL_NOT_FOUND',
  'MODEL_NOT_SUPPORTED',
  'CONTENT_POLICY_VIOLATION',
  'RATE_LIMITED',
  'INFERENCE_ERROR',
  'INFERENCE_TIMEOUT',
] as const satisfies ErrorId[]

/** Text in, text out: one request, one answer. */
export const inferenceEndpoints = {
  createChatCompletion: {
    method: 'post',
    path: '/v1/chat/completions',
    tag: 'Inference',
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
    summary: 'Embed texts (OpenAI’s embeddings)',
    description:
      'A vector for each text. Texts that are near each other in meaning are near each other there.',
    envelope: 'inference',
    body: createEmbeddings,
    example: { model: 'hash-embed', input: ['a mill by a river', 'a river by a mill'] },
    errors: inferenceErrors,
    replies: { 200: { description: 'A vector for each text, in their order', schema: embeddings } },
  },
} as const
