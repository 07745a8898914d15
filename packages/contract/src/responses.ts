import { z } from 'zod'
import { sampling } from './chat.ts'
import { createPrediction, webhookRequest } from './create-prediction.ts'

/** What an item holds beside its type is the business of its type. */
const item = z.looseObject({
  type: z
    .string()
    .optional()
    .describe('message unless stated; function_call, function_call_output, reasoning or item_reference'),
  id: z.string().nullish().describe('Its id; of an item_reference that of the item it stands for'),
})

/** `POST /v1/responses`. What is not named here goes to the host of the model as it is. */
export const createResponse = z
  .looseObject({
    model: z.string().min(1).describe('The namespace or an alias of a model that serves responses'),
    input: z
      .union([z.string(), z.array(item)])
      .optional()
      .describe('What is said: a text, or items'),
    instructions: z.string().nullish().describe('What the model is told first; of this turn alone'),
    previous_response_id: z
      .string()
      .nullish()
      .describe('The response whose conversation this one goes on with; it must be stored'),
    stream: z.boolean().nullish().describe('Send events while the answer is made'),
    store: z
      .boolean()
      .nullish()
      .describe('Keep the response, to be got and continued by its id; true unless told otherwise'),
    background: z
      .boolean()
      .nullish()
      .describe('Answer at once, and make the response as a prediction with the same id'),
    max_output_tokens: z.int().min(1).nullish().describe('The longest answer; 4096 unless given'),
    ...sampling,
    top_logprobs: z.int().min(0).max(20).nullish().describe('How many likely tokens to tell at each place'),
    tools: z
      .array(z.looseObject({ type: z.string().describe('function') }))
      .max(512)
      .nullish()
      .describe('Functions that the model may call: flat as in Responses, or nested as in chat'),
    tool_choice: z.unknown().optional().describe('none, auto, required, or one function by its name'),
    parallel_tool_calls: z.boolean().nullish().describe('Whether several may be called in one turn'),
    text: z
      .looseObject({
        format: z
          .looseObject({ type: z.string().describe('text, json_object or json_schema') })
          .nullish()
          .describe('Text, or JSON of a form'),
      })
      .nullish()
      .describe('The form of the answer'),
    reasoning: z
      .looseObject({ effort: z.string().nullish().describe('How long to think') })
      .nullish()
      .describe('For models that think'),
    metadata: z.record(z.string(), z.unknown()).nullish().describe('Shown in the response as it is'),
    include: z.array(z.string()).nullish().describe('message.output_text.logprobs'),
    truncation: z.string().nullish().describe('Not looked at'),
    tags: createPrediction.shape.tags.describe('Of a background response: tags of its prediction'),
    webhook: webhookRequest
      .nullish()
      .describe('Of a background response: told of its prediction, as on POST /v1/predictions'),
  })
  .meta({ id: 'CreateResponse', description: 'A turn of a conversation' })

const usage = z.looseObject({
  input_tokens: z.int().describe('Of all that was said before'),
  output_tokens: z.int().describe('Of the answer'),
  total_tokens: z.int().describe('Both'),
})

/** A response, whole or under way. */
export const response = z
  .looseObject({
    id: z.string().describe('resp_…'),
    object: z.literal('response').describe('What this is'),
    created_at: z.int().describe('Unix seconds'),
    completed_at: z.int().nullable().describe('Unix seconds; null unless it is completed'),
    status: z
      .enum(['queued', 'in_progress', 'completed', 'incomplete', 'failed', 'cancelled'])
      .describe('How far it is; queued and in_progress only with `background`'),
    model: z.string().describe('As asked'),
    background: z.boolean().describe('Whether it is made as a prediction'),
    output: z
      .array(
        z.looseObject({
          type: z.string().describe('message, function_call or reasoning'),
          id: z.string().describe('Of this item'),
        }),
      )
      .describe('What the model gave'),
    output_text: z.string().describe('All text of it'),
    error: z
      .object({ code: z.string().describe('For a program'), message: z.string().describe('For a person') })
      .nullable()
      .describe('Why it failed'),
    incomplete_details: z
      .object({ reason: z.string().describe('max_output_tokens or content_filter') })
      .nullable()
      .describe('Why it is incomplete'),
    usage: usage.nullable().describe('Tokens; null where nobody counted them'),
    store: z.boolean().describe('Whether it is kept'),
    previous_response_id: z.string().nullable().describe('The one that it goes on from'),
    metadata: z.record(z.string(), z.unknown()).describe('As the request had it'),
    content_filters: z
      .array(z.unknown())
      .nullable()
      .describe('What the safety filter found in prompt and answer; null where none looks'),
  })
  .meta({ id: 'Response', description: 'What a model answered to a turn of a conversation' })

/** What a response was given. */
export const inputItems = z
  .object({
    object: z.literal('list').describe('What this is'),
    data: z.array(item).describe('The items of this turn alone'),
    first_id: z.string().nullable().describe('The id of the first one here'),
    last_id: z.string().nullable().describe('The id of the last one here, for `after`'),
    has_more: z.boolean().describe('Whether there are more after it'),
  })
  .meta({ id: 'InputItems', description: 'What was said in a turn' })

/** How to list it. */
export const inputItemsQuery = z.object({
  limit: z.coerce
    .number()
    .int()
    .min(1, 'must be at least 1')
    .max(100, 'must be at most 100')
    .optional()
    .describe('How many; 20 unless told'),
  order: z.enum(['asc', 'desc']).optional().describe('desc, the last one first, unless told'),
  after: z.string().optional().describe('Go on after the item of this id'),
})

export type CreateResponse = z.infer<typeof createResponse>

/** An answer is gone. */
export const answerDeleted = z
  .object({
    id: z.string().describe('As asked'),
    object: z.string().describe('What it was'),
    deleted: z.literal(true).describe('It is gone'),
  })
  .meta({ id: 'AnswerDeleted', description: 'A stored answer that is gone' })
