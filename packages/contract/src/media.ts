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
    prompt: z.string().min(1).describe('What is to be seen'),
    n: z.int().min(1).max(10).nullable().optional().describe('How many, where the model can make several'),
    size: word.describe('`WIDTHxHEIGHT`, or `auto`'),
    response_format: z.enum(['url', 'b64_json']).nullable().optional().describe('`url` unless stated'),
    stream: z.boolean().nullable().optional().describe('Send each picture as an event'),
    partial_images: z
      .int()
      .min(0)
      .max(3)
      .nullable()
      .optional()
      .describe('For models that know it; none is shown here before it is done'),
    output_format: word.describe('The kind of file, where the model has a choice'),
    quality: word.describe('How good, where the model has a choice'),
  })
  .meta({ id: 'CreateImage', description: 'Pictures that are to be made' })

/** The answer of `POST /v1/images/generations`. */
export const images = z
  .object({
    created: z.int().describe('Unix seconds'),
    data: z
      .array(
        z.object({
          url: z.string().optional().describe('Where it is'),
          b64_json: z.string().optional().describe('Its bytes'),
        }),
      )
      .describe('The pictures, each with one of the two'),
  })
  .meta({ id: 'Images', description: 'Pictures that were made' })

/** The body of `POST /v1/audio/speech`. */
export const createSpeech = z
  .looseObject({
    ...common,
    input: z.string().min(1).describe('What to say'),
    voice: z
      .union([z.string().max(128), z.object({ id: z.string().max(128).describe('Its name') })])
      .optional()
      .describe('Goes to models that have voices'),
    response_format: word.describe('The kind of file, where the model has a choice'),
    speed: z
      .number()
      .min(0.25)
      .max(4)
      .nullable()
      .optional()
      .describe('How fast, where the model has a choice'),
    stream_format: z.enum(['audio', 'sse']).nullable().optional().describe('`sse`: the bytes as events'),
  })
  .meta({ id: 'CreateSpeech', description: 'A text that is to be read aloud' })

/** The body of `POST /v1/audio/transcriptions`. */
export const createTranscription = z
  .looseObject({
    ...common,
    file: z
      .string()
      .min(1)
      .optional()
      .describe('In JSON its address: a URL, a data URL or that of an upload'),
    language: word.describe('In which language it is said, where the model asks for it'),
    response_format: z
      .enum(['json', 'text', 'srt', 'vtt', 'verbose_json'])
      .optional()
      .describe('`json` unless stated'),
    stream: flag.nullable().optional().describe('Send the text as events'),
  })
  .meta({ id: 'CreateTranscription', description: 'A recording that is to be written down' })

/** The answer of `POST /v1/audio/transcriptions`; `verbose_json` has what else the model knows. */
export const transcription = z
  .looseObject({ text: z.string().describe('What is said') })
  .meta({ id: 'Transcription', description: 'What is said in a recording' })

/** The body of `POST /v1/videos`. */
export const createVideo = z
  .looseObject({
    ...common,
    prompt: z.string().min(1).describe('What is to be seen'),
    size: word.describe('`WIDTHxHEIGHT`'),
    seconds: z
      .union([z.string().max(16), z.number()])
      .nullable()
      .optional()
      .describe('How long it is to be'),
    input_reference: z
      .union([
        z.string().min(1),
        z.object({
          image_url: z.string().optional().describe('The address of the picture'),
          file_id: z.string().optional().describe('The id of an upload'),
        }),
      ])
      .optional()
      .describe('The picture it begins with: its address, `{image_url}` or `{file_id}` of an upload'),
  })
  .meta({ id: 'CreateVideo', description: 'A video that is to be made' })

/** A prediction of a model that makes videos, as OpenAI's clients read it. Its id is that of the prediction. */
export const video = z
  .object({
    id: z.string().describe('pred_…'),
    object: z.literal('video').describe('What this is'),
    model: z.string().describe('What makes it'),
    status: z.enum(['queued', 'in_progress', 'completed', 'failed']).describe('How far it is'),
    progress: z.int().min(0).max(100).describe('Percent'),
    created_at: z.int().describe('Unix seconds'),
    completed_at: z.int().nullable().describe('Unix seconds; null until then'),
    expires_at: z.int().nullable().describe('When its bytes go, in Unix seconds'),
    error: z
      .object({ code: z.string().describe('Which error'), message: z.string().describe('In words') })
      .nullable()
      .describe('What went wrong'),
    prompt: z.string().nullable().describe('As asked'),
    seconds: z.string().nullable().describe('As asked'),
    size: z.string().nullable().describe('As asked'),
    remixed_from_video_id: z.null().describe('Always null: there are no remixes'),
  })
  .meta({ id: 'Video', description: 'A video and how far it is' })

export const videoList = z
  .object({
    object: z.literal('list').describe('What this is'),
    data: z.array(video).describe('The videos'),
    first_id: z.string().nullable().describe('The first of the page'),
    last_id: z.string().nullable().describe('The last of the page: `after` of the next one'),
    has_more: z.boolean().describe('There is a next page'),
  })
  .meta({ id: 'VideoList', description: 'A page of videos' })

export const listVideosQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100).optional().describe('How many a page has; 20 unless stated'),
  after: z.string().max(64).optional().describe('The `last_id` of the page before'),
  order: z.enum(['asc', 'desc']).optional().describe('Newest first unless stated'),
})

export const videoDeleted = z.object({
  id: z.string().describe('pred_…'),
  object: z.literal('video.deleted').describe('What this is'),
  deleted: z.literal(true).describe('It is gone'),
})

/** Which file of a video is asked for. */
export const videoVariants = ['video', 'thumbnail', 'spritesheet'] as const

export type Video = z.infer<typeof video>
export type VideoVariant = (typeof videoVariants)[number]
