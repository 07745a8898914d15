import { z } from 'zod'
import { predictionErrorIds } from './errors.ts'
import { statuses } from './statuses.ts'

/** A moment: ISO 8601, UTC, milliseconds. */
export const time = z.iso.datetime({ precision: 3 })

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
      truncated: z.array(z.string()).optional(),
    }),
    urls: z.object({ get: z.string(), cancel: z.string(), stream: z.string(), delete: z.string() }),
  })
  .meta({ id: 'Prediction' })

/** A prediction that was acted upon: cancelled or deleted. */
export const predictionActed = prediction.extend({ success: z.literal(true) }).meta({ id: 'PredictionActed' })

export type Prediction = z.infer<typeof prediction>
