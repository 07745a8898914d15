import { z } from 'zod'
import { pricing } from './pricing.ts'

const schema = z.record(z.string(), z.unknown())

/** A model of the catalogue. The list always has both schemas (`{}` unless asked for), get-one only when asked. */
export const model = z
  .looseObject({
    name: z.string().describe('For people'),
    namespace: z.string().describe('What a request names it by'),
    description: z.string().describe('What it does'),
    type: z.string().describe('Such as image, video, audio or text'),
    apis: z
      .array(
        z.object({
          name: z.string().describe('predictions, chat, responses or embeddings'),
          path: z.string().describe('Where that is'),
        }),
      )
      .describe('The surfaces that serve it'),
    billable: z.boolean().describe('Whether it may cost something'),
    pricing: pricing.describe('What it costs'),
    status: z.string().describe('operational or offline'),
    context_length: z
      .int()
      .nullable()
      .describe('Tokens of a conversation with its answer, where the model says so'),
    max_output_tokens: z.int().nullable().describe('Tokens of an answer, where the model says so'),
    reason: z.string().nullable().describe('Why it is offline; null while it is operational'),
    aliases: z.array(z.string()).describe('Other slugs under which it is found'),
    version: z.string().describe('The id of its state, which predictions record: another file, another id'),
    version_label: z.string().nullable().describe('What its author calls that state'),
    input_schema: schema.optional().describe('JSON Schema of its input; {} in lists unless asked for'),
    output_schema: schema.optional().describe('JSON Schema of its output; {} in lists unless asked for'),
  })
  .meta({ id: 'Model', description: 'A model of the catalogue' })

/** How a model does now. */
export const modelHealth = z
  .object({
    model: z.string().describe('Its namespace'),
    status: z.enum(['operational', 'offline']).describe('offline: no worker serves it'),
    reason: z
      .string()
      .nullable()
      .describe('What keeps its predictions from being run; null while nothing does'),
    hosts: z
      .array(
        z.object({
          host: z.string().describe('Its address for admins, its kind for others'),
          breaker: z
            .enum(['closed', 'open', 'half_open'])
            .describe('open: it failed again and again and is left alone; half_open: the next run finds out'),
          failures: z.int().describe('In a row'),
          retry_in_seconds: z.int().optional().describe('Until somebody may ask it again'),
          reason: z.string().optional().describe('For admins: what it failed with last'),
        }),
      )
      .describe('Where it runs, if elsewhere'),
    queue: z
      .object({
        waiting: z.int().describe('Free to start now'),
        waiting_capped: z.literal(true).optional().describe('More wait than were counted'),
        running: z.int().describe('Under way in all workers'),
      })
      .describe('Its line'),
    workers: z.int().describe('That serve it'),
    run_time: z
      .object({
        median: z.number().nullable().describe('Half of them took no longer'),
        p95: z.number().nullable().describe('Nineteen of twenty took no longer'),
        samples: z.int().describe('How many there are'),
      })
      .describe('Seconds from claim to end of the newest runs, up to 200'),
  })
  .meta({ id: 'ModelHealth', description: 'How a model does now' })

/** `GET /v1/models` for clients that send `x-api-key`. */
export const modelArray = z.array(model)

/** The same for OpenAI's clients, which read `{object: "list"}`. */
export const modelList = z
  .object({
    object: z.literal('list').describe('Always list'),
    data: z
      .array(
        model.extend({
          id: z.string().describe('Its namespace'),
          object: z.literal('model').describe('Always model'),
          created: z.int().describe('Unix seconds; always 0: not known'),
          owned_by: z.string().describe('Its vendor'),
        }),
      )
      .describe('The models'),
  })
  .meta({ id: 'ModelList', description: 'The models, as OpenAI’s clients read them' })

/** A model for Anthropic's clients, which send `anthropic-version`. */
export const anthropicModel = z
  .object({
    type: z.literal('model').describe('Always model'),
    id: z.string().describe('Its namespace'),
    display_name: z.string().describe('Its name'),
    created_at: z.string().describe('Always 1970: not known'),
  })
  .meta({ id: 'AnthropicModel', description: 'A model, as Anthropic’s clients read it' })

/** The models for them. */
export const anthropicModelList = z
  .object({
    data: z.array(anthropicModel).describe('The models'),
    has_more: z.boolean().describe('Always false: all are there'),
    first_id: z.string().nullable().describe('The first of them'),
    last_id: z.string().nullable().describe('The last of them'),
  })
  .meta({ id: 'AnthropicModelList', description: 'The models, as Anthropic’s clients read them' })

export type ModelHealth = z.infer<typeof modelHealth>
