import { z } from 'zod'
import { creditFields } from './credit-fields.ts'
import { priorities } from './priorities.ts'

/** `webhook` on create: a bare URL means all events that need no opt-in. */
export const webhookRequest = z.union([
  z.string(),
  z.object({
    url: z.string().describe('Where to post'),
    events: z
      .array(z.string())
      .optional()
      .describe('Such as prediction.succeeded; all that need no opt-in unless named'),
  }),
])

/** From a quarter of an hour on: what is kept shorter might go before its owner comes for it. */
const days = z.number().min(0.01, 'must be at least 0.01 days').max(365_000, 'must be at most 365000 days')

const secondsTo = (most: number) =>
  z.int().min(1, 'must be at least 1 second').max(most, `must be at most ${most} seconds`)

/** The body of `POST /v1/predictions`. */
export const createPrediction = z
  .object({
    model: z.string().min(1).describe('The namespace of a model, as GET /v1/models lists it'),
    input: z.record(z.string(), z.unknown()).describe("What the model's input schema asks for"),
    await: z.boolean().optional().describe('Hold the answer until the prediction ends, at most 50 s'),
    stream: z
      .boolean()
      .optional()
      .describe('Shown in the prediction; its events stream either way. /v1/run answers with them'),
    webhook: webhookRequest
      .nullable()
      .optional()
      .describe('Where to tell of its events: a URL, or one with the events wanted'),
    tags: z
      .record(
        z
          .string()
          .regex(
            /^[\w.-]{1,64}$/,
            'is no name of a tag, which has 1 to 64 letters, digits, dots, dashes or underscores',
          ),
        z.string().max(256),
      )
      .refine((tags) => Object.keys(tags).length <= 32, 'must have at most 32 tags')
      .optional()
      .describe('Short strings of your own; lists filter by tag.NAME=value'),
    timeouts: z
      .object({
        start: secondsTo(7 * 86_400)
          .optional()
          .describe('Seconds until a worker must have begun'),
        run: secondsTo(86_400).optional().describe('Seconds a run may take'),
      })
      .optional()
      .describe('Time limits, within what the model allows'),
    priority: z
      .enum(priorities)
      .optional()
      .describe(
        'Who goes first while runs of a model wait: of ten turns high has six, normal three, low one',
      ),
    run_at: z.iso
      .datetime({ offset: true, error: 'must be a time with its zone, such as 2026-12-24T18:00:00Z' })
      .optional()
      .describe('Not before this time, at most 14 days ahead; a time that has passed means now'),
    expires_in: secondsTo(14 * 86_400)
      .optional()
      .describe(
        'Seconds, from its creation or run_at on, by which it must have begun, or it fails with EXPIRED',
      ),
    version: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Refuse unless this is the current version of the model: its id, the label its file gives it, or `latest`',
      ),
    auto_fallback: z
      .boolean()
      .optional()
      .describe('Whether a fallback may serve while the model is unavailable; true unless told otherwise'),
    retention: z
      .object({
        files_days: days.optional().describe('Days until the files of input and output go'),
        data_days: days.optional().describe('Days until all that it was given and answered goes'),
      })
      .optional()
      .describe('Counted from its end; fractions are allowed. The model and the service may keep less'),
    privacy: z.literal('private').optional().describe('Predictions are never public'),
  })
  .meta({ id: 'CreatePrediction', description: 'A prediction to be' })

/** What a request may ask for on every route that creates a prediction. */
const wishes = createPrediction.pick({
  stream: true,
  webhook: true,
  tags: true,
  timeouts: true,
  priority: true,
  run_at: true,
  expires_in: true,
  version: true,
  auto_fallback: true,
  retention: true,
}).shape

/** The body of `POST /v1/run`. */
export const run = z
  .object({
    model: createPrediction.shape.model,
    inputs: createPrediction.shape.input.optional().describe(createPrediction.shape.input.description ?? ''),
    input: createPrediction.shape.input.optional().describe('Taken for `inputs`'),
    async: z.boolean().optional().describe('Answer 202 with a job id at once'),
    ...wishes,
  })
  .meta({ id: 'Run', description: 'A run to be' })

/** One job of `GET /v1/job/{id}`. */
export const job = z
  .object({
    job_id: z.string().describe('The id of the prediction'),
    status: z.enum(['queued', 'running', 'completed', 'failed']).describe('Where it is'),
    model: z.string().describe('As the request named it'),
    result: z.unknown().describe('What /v1/run would have answered; null until it is completed'),
    error: z.string().nullable().describe('Why it failed; null unless it did'),
    created_at: z.string().describe('When it was accepted'),
    completed_at: z.string().nullable().describe('When it ended; null before'),
  })
  .meta({ id: 'Job', description: 'A prediction in the words of jobs' })

const tip = z.string().optional().describe('Fields that were ignored and were probably misspelt, in words')

/** The result of `POST /v1/run`: in the shape of the model's type, with the prediction's id and the model. */
export const runResult = z
  .looseObject({
    id: z.string().describe('The id of the prediction'),
    model: z.string().describe('As the request named it'),
    _tip: tip,
    ...creditFields,
  })
  .meta({
    id: 'RunResult',
    description: 'The result, in the shape of the type of the model: data, video_url, audio_url or output',
  })

/** The answer of `POST /v1/run` when the result is not there yet. */
export const runAccepted = z
  .object({
    status: z.literal('accepted').describe('It runs, or will'),
    job_id: z.string().describe('The id of the prediction'),
    poll_url: z.string().describe('Where to ask for it'),
    model: z.string().describe('As the request named it'),
    _tip: tip,
    ...creditFields,
  })
  .meta({ id: 'RunAccepted', description: 'A job to poll' })

export type CreatePrediction = z.infer<typeof createPrediction>
export type RunRequest = z.infer<typeof run>
export type Job = z.infer<typeof job>
