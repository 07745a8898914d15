import { z } from 'zod'
import { createPrediction, webhookRequest } from './create-prediction.ts'

/** What requests of every media surface may say. What is not named here is a field of the model's own input. */
const common = {
  model: z.string().min(1).describe('The namespace of a model, as GET /v1/models lists it'),
  tags: createPrediction.shape.tags,
  webhook: webhookRequest
    .nullable()
    .optional()
    .describe('Told of the prediction, as on POST /v1/predictions'),
}

/** Forms can only say it in letters. */
const flag = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')])
const word = z.string().max(64).nullable().optional()

/** The body of `POST /v1/images/generations`. */
export const createImage = z
  .looseObject({
    ...common,
    prompt: z.string().min(1),
    n: z.int().min(1).max(10).nullable().optional().describe('How many, where the model can make several'),
    size: word.describe('`WIDTHxHEIGHT`, or `auto`'),
    response_format: z.enum(['url', 'b64_json']).nullable().optional().describe('`url` unless stated'),
    stream: z.boolean().nullable().optional(),
    partial_images: z.int().min(0).max(3).nullable().optional(),
    output_format: word,
    quality: word,
  })
  .meta({ id: 'CreateImage' })

/** The answer of `POST /v1/images/generations`. */
export const images = z
  .object({
    created: z.int(),
    data: z.array(z.object({ url: z.string().optional(), b64_json: z.string().optional() })),
  })
  .meta({ id: 'Images' })

/** The body of `POST /v1/audio/speech`. */
export const createSpeech = z
  .looseObject({
    ...common,
    input: z.string().min(1).describe('What to say'),
    voice: z
      .union([z.string().max(128), z.object({ id: z.string().max(128) })])
      .optional()
      .describe('Goes to models that have voices'),
    response_format: word.describe('The kind of file, where the model has a choice'),
    speed: z.number().min(0.25).max(4).nullable().optional(),
    stream_format: z.enum(['audio', 'sse']).nullable().optional(),
  })
  .meta({ id: 'CreateSpeech' })

/** The body of `POST /v1/audio/transcriptions`. */
export const createTranscription = z
  .looseObject({
    ...common,
    file: z
      .string()
      .min(1)
      .optional()
      .describe('In JSON its address: a URL, a data URL or that of an upload'),
    language: word,
    response_format: z.enum(['json', 'text', 'srt', 'vtt', 'verbose_json']).optional(),
    stream: flag.nullable().optional(),
  })
  .meta({ id: 'CreateTranscription' })

/** The answer of `POST /v1/audio/transcriptions`; `verbose_json` has what else the model knows. */
export const transcription = z.looseObject({ text: z.string() }).meta({ id: 'Transcription' })

/** The body of `POST /v1/videos`. */
export const createVideo = z
  .looseObject({
    ...common,
    prompt: z.string().min(1),
    size: word.describe('`WIDTHxHEIGHT`'),
    seconds: z
      .union([z.string().max(16), z.number()])
      .nullable()
      .optional(),
    input_reference: z
      .union([
        z.string().min(1),
        z.object({ image_url: z.string().optional(), file_id: z.string().optional() }),
      ])
      .optional()
      .describe('The picture it begins with: its address, `{image_url}` or `{file_id}` of an upload'),
  })
  .meta({ id: 'CreateVideo' })

const seconds = z.int().nullable()

/** A prediction of a model that makes videos, as OpenAI's clients read it. Its id is that of the prediction. */
export const video = z
  .object({
    id: z.string(),
    object: z.literal('video'),
    model: z.string(),
    status: z.enum(['queued', 'in_progress', 'completed', 'failed']),
    progress: z.int().min(0).max(100),
    created_at: z.int(),
    completed_at: seconds,
    expires_at: seconds,
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    prompt: z.string().nullable(),
    seconds: z.string().nullable(),
    size: z.string().nullable(),
    remixed_from_video_id: z.null(),
  })
  .meta({ id: 'Video' })

export const videoList = z
  .object({
    object: z.literal('list'),
    data: z.array(video),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
    has_more: z.boolean(),
  })
  .meta({ id: 'VideoList' })

export const listVideosQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100).optional(),
  after: z.string().max(64).optional().describe('The `last_id` of the page before'),
  order: z.enum(['asc', 'desc']).optional().describe('Newest first unless stated'),
})

export const videoDeleted = z.object({
  id: z.string(),
  object: z.literal('video.deleted'),
  deleted: z.literal(true),
})

/** Which file of a video is asked for. */
export const videoVariants = ['video', 'thumbnail', 'spritesheet'] as const

export type Video = z.infer<typeof video>
export type VideoVariant = (typeof videoVariants)[number]
