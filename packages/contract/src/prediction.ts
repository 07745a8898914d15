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
    estimated_start_at: time.nullable().describe('The same as a time'),
  })
  .describe('While it waits; only where one prediction is asked for')

/** One prediction, as every route and webhook shows it. */
export const prediction = z
  .object({
    id: z.string().describe('pred_…, sortable by time'),
    status: z.enum(statuses).describe('Never goes backwards; succeeded, failed and cancelled are final'),
    type: z.literal('inference').describe('Always inference'),
    stream: z.boolean().describe('As it was asked for'),
    input: z
      .record(z.string(), z.unknown())
      .nullable()
      .describe(
        'What the model is given, defaults applied; secrets masked, and null in lists where it is large',
      ),
    output: z
      .unknown()
      .describe('What the model answered: URLs for files, else text or JSON. Null until it has succeeded'),
    error: z.string().nullable().describe('Why it failed, for a person; null unless it did'),
    response: z.string().nullable().describe('The same text as error'),
    error_id: z
      .enum(predictionErrorIds)
      .or(z.string())
      .optional()
      .describe('Why it failed, for a program; only where it did'),
    created_at: time.describe('When it was accepted'),
    updated_at: time.describe('When its status changed last'),
    started_at: time.nullable().describe('When its run began; null before'),
    completed_at: time.nullable().describe('When it ended; null before'),
    privacy: z.literal('private').describe('Only its account sees it'),
    source: z
      .enum(['api', 'cli', 'web'])
      .describe('What it came through: the API, our command line or the console'),
    model: z
      .object({
        name: z.string().describe('As the request named it'),
        type: z.string().describe('Such as image, video, audio or text'),
      })
      .describe('The model that it is for'),
    webhook: z
      .object({
        url: z.string().nullable().describe('Where it is told of; null where nobody asked for that'),
        events: z.array(z.string()).describe('As the request spelled them'),
      })
      .describe('Where it tells of its events'),
    metrics: z
      .object({
        predict_time: z.number().optional().describe('Seconds from its begin to its end'),
        total_time: z.number().optional().describe('Seconds from its creation to its end'),
        progress: z.number().min(0).max(100).optional().describe('Percent, while it runs'),
        image_count: z.int().optional().describe('Images in its output'),
        asset_count: z.int().optional().describe('Files in its output'),
      })
      .describe('What was measured; each when it is known'),
    metadata: z
      .object({
        billing: z
          .object({
            credits_used: z.number().describe('What it was charged'),
          })
          .describe('What it cost'),
        storage: z
          .object({
            files: z
              .array(
                z.object({
                  name: z.string().describe('The name of the file'),
                  type: z.string().describe('Its content type'),
                  size: z.int().describe('Bytes'),
                  url: z
                    .string()
                    .describe('Signed; works for 24 hours. Read the prediction again for another one'),
                }),
              )
              .describe('Each file'),
          })
          .describe('The files of its output'),
        data_available: z.boolean().describe('Whether its values and files are still there'),
        expires_at: time.nullable().describe('When something of them goes; null before its end'),
        attempts: z.int().describe('How often a worker took it up'),
        served_by: z.string().optional().describe('The fallback that serves it in place of its model'),
        cancel_requested_at: time.nullable().describe('When its cancellation was asked for, if it was'),
        tags: z.record(z.string(), z.string()).describe('Those of the request'),
        priority: z.enum(priorities).describe('As asked for'),
        run_at: time.nullable().describe('Not before this time; null: at once'),
        expires_in: z.int().nullable().describe('Seconds by which it must have begun; null: no such limit'),
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
        truncated: z
          .array(z.string())
          .optional()
          .describe('In lists: what was left out for its size, input or output'),
        hints: z
          .array(z.string())
          .optional()
          .describe(
            'In the answer of a create: fields that it ignored and that were probably misspelt, in words',
          ),
      })
      .describe('How it is kept and run'),
    urls: z
      .object({
        get: z.string().describe('Read it'),
        cancel: z.string().describe('POST cancels it'),
        stream: z.string().describe('Follow it live'),
        delete: z.string().describe('DELETE deletes it'),
      })
      .describe('Absolute; follow these instead of making them up'),
  })
  .meta({ id: 'Prediction', description: 'One run of a model, from its acceptance to its end' })

/** A prediction that was acted upon: cancelled or deleted. */
export const predictionActed = prediction
  .extend({ success: z.literal(true).describe('It was done') })
  .meta({ id: 'PredictionActed', description: 'The prediction as it stands' })

export type Prediction = z.infer<typeof prediction>
export type QueuePlace = z.infer<typeof queuePlace>
