import { z } from 'zod'

const schema = z.record(z.string(), z.unknown())

/** A model of the catalogue. The list always has both schemas (`{}` unless asked for), get-one only when asked. */
export const model = z
  .looseObject({
    name: z.string(),
    namespace: z.string(),
    description: z.string(),
    type: z.string(),
    apis: z.array(z.object({ name: z.string(), path: z.string() })),
    status: z.string().describe('operational or offline'),
    reason: z.string().nullable().describe('Why it is offline; null while it is operational'),
    aliases: z.array(z.string()).describe('Other slugs under which it is found'),
    version: z.string().describe('The id of its state, which predictions record: another file, another id'),
    version_label: z.string().nullable().describe('What its author calls that state'),
    input_schema: schema.optional(),
    output_schema: schema.optional(),
  })
  .meta({ id: 'Model' })

/** How a model does now. */
export const modelHealth = z
  .object({
    model: z.string(),
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
          retry_in_seconds: z.int().optional(),
          reason: z.string().optional().describe('For admins: what it failed with last'),
        }),
      )
      .describe('Where it runs, if elsewhere'),
    queue: z.object({
      waiting: z.int().describe('Free to start now'),
      waiting_capped: z.literal(true).optional().describe('More wait than were counted'),
      running: z.int(),
    }),
    workers: z.int().describe('That serve it'),
    run_time: z
      .object({ median: z.number().nullable(), p95: z.number().nullable(), samples: z.int() })
      .describe('Seconds from claim to end of the newest runs, up to 200'),
  })
  .meta({ id: 'ModelHealth' })

/** `GET /v1/models` for clients that send `x-api-key`. */
export const modelArray = z.array(model)

/** The same for OpenAI's clients, which read `{object: "list"}`. */
export const modelList = z
  .object({
    object: z.literal('list'),
    data: z.array(
      model.extend({ id: z.string(), object: z.literal('model'), created: z.int(), owned_by: z.string() }),
    ),
  })
  .meta({ id: 'ModelList' })

/** The same for Anthropic's clients, which send `anthropic-version`. */
export const anthropicModelList = z
  .object({
    data: z.array(
      z.object({
        type: z.literal('model'),
        id: z.string(),
        display_name: z.string(),
        created_at: z.string(),
      }),
    ),
    has_more: z.boolean(),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
  })
  .meta({ id: 'AnthropicModelList' })

export type ModelHealth = z.infer<typeof modelHealth>
