import { z } from 'zod'
import { predictionErrorIds } from './errors.ts'
import { priorities } from './priorities.ts'
import { statuses } from './statuses.ts'

/** A moment: ISO 8601, UTC, milliseconds. */
export const time = z.iso.datetime({ precision: 3 })

/** Where a prediction waits in the line of its model. */
export const queuePlace = z
  .object({
    position: z.int().min(1).describe('1 is next; exact for the first hundred'),
    position_capped: z.literal(true).optional().describe('There are at least so many before it'),
    estimated_seconds: z.number().nullable().describe('Until it starts; null while nothing is known'),
    estimated_start_at: time.nullable(),
  })
  .describe('While it waits; only where one prediction is asked for')

/** One prediction, as every route and webhook shows it. */
export const prediction = z
  .object({
    id: z.string(),
    status: z.enum(statuses),
    type: z.literal('inference'),
    stream: z.boolean(),
    input: z.record(z.string(), z.unknown()).nullable(),
    output: z.unknown(),
    error: z.string().nullable(),
    response: z.string().nullable(),
    error_id: z.enum(predictionErrorIds).or(z.string()).optional(),
    created_at: time,
    updated_at: time,
    started_at: time.nullable(),
    completed_at: time.nullable(),
    privacy: z.literal('private'),
    source: z.enum(['api', 'cli', 'web']),
    model: z.object({ name: z.string(), type: z.string() }),
    webhook: z.object({ url: z.string().nullable(), events: z.array(z.string()) }),
    metrics: z.object({
      predict_time: z.number().optional(),
      total_time: z.number().optional(),
      progress: z.number().min(0).max(100).optional(),
      image_count: z.int().optional(),
      asset_count: z.int().optional(),
    }),
    metadata: z.object({
      billing: z.object({ credits_used: z.number() }),
      storage: z.object({
        files: z.array(z.object({ name: z.string(), type: z.string(), size: z.int(), url: z.string() })),
      }),
      data_available: z.boolean(),
      expires_at: time.nullable(),
      attempts: z.int(),
      served_by: z.string().optional().describe('The fallback that serves it in place of its model'),
      cancel_requested_at: time.nullable(),
      tags: z.record(z.string(), z.string()),
      priority: z.enum(priorities),
      run_at: time.nullable(),
      expires_in: z.int().nullable(),
      cold_boot: z
        .boolean()
        .nullable()
        .describe('Whether the model had to be started for it; null before that is known'),
      queue: queuePlace.optional(),
      waiting_for: z
        .string()
        .optional()
        .describe(
          'While it waits, and where one prediction is asked for: what else than its turn it waits for',
        ),
      model_version: z
        .string()
        .nullable()
        .describe("The id of the model's state when the prediction was accepted"),
      truncated: z.array(z.string()).optional(),
      hints: z
        .array(z.string())
        .optional()
        .describe(
          'In the answer of a create: fields that it ignored and that were probably misspelt, in words',
        ),
    }),
    urls: z.object({ get: z.string(), cancel: z.string(), stream: z.string(), delete: z.string() }),
  })
  .meta({ id: 'Prediction' })

/** A prediction that was acted upon: cancelled or deleted. */
export const predictionActed = prediction.extend({ success: z.literal(true) }).meta({ id: 'PredictionActed' })

export type Prediction = z.infer<typeof prediction>
export type QueuePlace = z.infer<typeof queuePlace>
