import { z } from 'zod'

/** A part of a message. What else it holds depends on its type. */
const block = z.looseObject({
  type: z.string().describe('text, image, document, tool_use, tool_result or thinking'),
})

const turn = z.looseObject({
  role: z.enum(['user', 'assistant', 'system']).describe('Who says it'),
  content: z.union([z.string(), z.array(block)]).describe('A text, or blocks'),
})

/** What is asked, with or without an answer. */
const asked = {
  model: z.string().min(1).describe('The namespace or an alias of a model that serves chat'),
  messages: z.array(turn).min(1).describe('The conversation so far'),
  system: z
    .union([z.string(), z.array(block)])
    .optional()
    .describe('What stands above the conversation: a text, or blocks of text'),
  tools: z
    .array(
      z.looseObject({
        name: z.string().min(1).describe('The name by which the model calls it'),
        description: z.string().optional().describe('When to call it'),
        input_schema: z.record(z.string(), z.unknown()).optional().describe('A JSON Schema of its input'),
      }),
    )
    .max(512)
    .optional()
    .describe('Functions that the model may call'),
  tool_choice: z
    .looseObject({ type: z.string().describe('auto, any, tool or none') })
    .optional()
    .describe('Whether it must call one'),
}

/** `POST /v1/messages`. */
export const createMessage = z
  .looseObject({
    ...asked,
    max_tokens: z.int().min(1).describe('The longest answer'),
    stream: z.boolean().optional().describe('Send the answer while it is made, as server-sent events'),
    stop_sequences: z.array(z.string()).max(16).optional().describe('Where to end'),
    temperature: z.number().min(0).max(2).optional().describe('How much chance: 0 none, 1 as trained'),
    top_p: z.number().min(0).max(1).optional().describe('Of the likeliest tokens, the share to choose from'),
    top_k: z.int().min(0).optional().describe('Of the likeliest tokens, how many to choose from'),
    metadata: z
      .looseObject({ user_id: z.string().nullish().describe('Whom the answer is for, as an opaque id') })
      .optional()
      .describe('Of the request'),
  })
  .meta({ id: 'CreateMessage', description: 'A conversation to answer, as Anthropic’s clients ask it' })

/** `POST /v1/messages/count_tokens`. */
export const countTokens = z
  .looseObject(asked)
  .meta({ id: 'CountTokens', description: 'A conversation whose tokens are to be counted' })

/** A whole answer. */
export const message = z
  .object({
    id: z.string().describe('msg_…'),
    type: z.literal('message').describe('Always message'),
    role: z.literal('assistant').describe('Always assistant'),
    model: z.string().describe('As asked'),
    content: z.array(block).describe('Blocks of text, thinking and tool_use'),
    stop_reason: z
      .enum(['end_turn', 'max_tokens', 'stop_sequence', 'tool_use', 'refusal'])
      .nullable()
      .describe('Why it ended; refusal where the safety filter blocked it, too'),
    stop_sequence: z.string().nullable().describe('The one that ended it, where the host tells'),
    usage: z
      .object({
        input_tokens: z.int().describe('That no cache served'),
        output_tokens: z.int().describe('Of the answer'),
        cache_creation_input_tokens: z.int().describe('Always 0'),
        cache_read_input_tokens: z.int().describe('That a cache of the host served'),
      })
      .describe('Tokens, as the host reported them'),
  })
  .meta({ id: 'Message', description: 'The answer of a model, as Anthropic’s clients read it' })

export const messageTokens = z
  .object({ input_tokens: z.int().describe('An estimate: every model counts in its own way') })
  .meta({ id: 'MessageTokens', description: 'How many tokens a conversation has' })

/** The error envelope of these endpoints: Anthropic's. */
export const messagesErrorBody = z
  .object({
    type: z.literal('error').describe('Always error'),
    error: z
      .object({
        type: z.string().describe('Such as invalid_request_error or rate_limit_error, by the HTTP status'),
        message: z.string().describe('For a person'),
      })
      .describe('What went wrong'),
    request_id: z.string().describe('As in the header request-id'),
  })
  .meta({ id: 'MessagesError', description: 'Why a request was refused, as Anthropic’s clients read it' })

export type CreateMessage = z.infer<typeof createMessage>
export type CountTokens = z.infer<typeof countTokens>
export type MessagesErrorBody = z.infer<typeof messagesErrorBody>
