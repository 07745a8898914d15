import type { EndpointDefinition } from '../endpoint.ts'
import { countTokens, createMessage, message, messageTokens } from '../messages.ts'
import { inferenceErrors } from './inference.ts'

/** Anthropic's Messages protocol, over the same models. */
export const messagesEndpoints = {
  createMessage: {
    method: 'post',
    path: '/v1/messages',
    tag: 'Inference',
    scope: 'inference:write',
    summary: 'Answer a conversation (Anthropic’s messages)',
    description:
      'For clients of Anthropic: give them the address of this service without `/v1`. Blocks of text, images, documents, tools and their results are served; what only Anthropic can do is refused.',
    envelope: 'anthropic',
    body: createMessage,
    example: { model: 'parrot', max_tokens: 256, messages: [{ role: 'user', content: 'Hello, mill.' }] },
    errors: inferenceErrors,
    replies: {
      200: {
        description: 'The answer; with `stream`, its events as they come',
        schema: message,
        stream: true,
      },
    },
  },
  countMessageTokens: {
    method: 'post',
    path: '/v1/messages/count_tokens',
    tag: 'Inference',
    scope: 'inference:write',
    summary: 'Count the tokens of a conversation',
    description: 'An estimate, made here: no model is asked.',
    envelope: 'anthropic',
    body: countTokens,
    example: { model: 'parrot', messages: [{ role: 'user', content: 'Hello, mill.' }] },
    errors: [
      'INVALID_REQUEST',
      'INVALID_PARAMETER',
      'MODEL_NOT_FOUND',
      'MODEL_NOT_SUPPORTED',
      'MODEL_FORBIDDEN',
    ],
    replies: { 200: { description: 'How many there are', schema: messageTokens } },
  },
} as const satisfies Record<string, EndpointDefinition>
