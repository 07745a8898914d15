import { z } from 'zod'
import { modelTypes } from './model-types.ts'
import { statedPricing } from './stated-pricing.ts'

const seconds = z
  .number()
  .positive()
  .max(7 * 24 * 3600)

const tokens = z.int().min(1).max(1_000_000_000)

const days = z.int().min(1).max(365_000)

const objectSchema = z
  .record(z.string(), z.unknown())
  .refine((schema) => schema.type === 'object', 'must be a JSON Schema with type: "object"')

const slug = z
  .string()
  .max(128)
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]*(\/[A-Za-z0-9][A-Za-z0-9._-]*)*$/,
    'letters, digits, ". _ -", parts parted by "/"',
  )

/** What a model's file may say of it, beside its provider: the same words in TypeScript, JSON and YAML. */
export const statedModel = z.object({
  /** The slug that clients send. */
  namespace: slug,
  /** Other slugs under which it is found. */
  aliases: z.array(slug).max(20).default([]),
  /** The name that people see; the slug when absent. */
  name: z.string().min(1).max(128).optional(),
  type: z.enum(modelTypes),
  description: z.string().max(4000).default(''),
  /** What its author calls this state of it; beside it there is an id that no two states share. */
  version: z.string().min(1).max(128).optional(),
  apis: z
    .array(
      z.enum([
        'predictions',
        'chat',
        'responses',
        'embeddings',
        'images',
        'speech',
        'transcriptions',
        'videos',
      ]),
    )
    .min(1)
    .default(['predictions']),
  /** `unlisted`: whoever knows its name may use it. */
  visibility: z.enum(['public', 'unlisted']).default('public'),
  vendor: z
    .object({
      name: z.string().min(1).max(128),
      slug: z.string().min(1).max(128).optional(),
      description: z.string().max(1000).default(''),
      image_url: z.url().nullable().default(null),
      verified: z.boolean().default(false),
    })
    .optional(),
  /** `partner`: what is sent to it leaves this installation. The kinds that drive other people's clouds always do. */
  service: z
    .object({
      type: z.enum(['native', 'partner']).optional(),
      inference_party: z.string().min(1).max(128).optional(),
    })
    .optional(),
  pricing: statedPricing.optional(),
  capabilities: z.array(z.string()).default([]),
  /** Tokens that a conversation and its answer may have together. */
  context_length: tokens.optional(),
  /** Tokens that an answer may have. */
  max_output_tokens: tokens.optional(),
  /** Required where it serves predictions. */
  input_schema: objectSchema.optional(),
  output_schema: z.record(z.string(), z.unknown()).optional(),
  /** Which workers serve it. */
  pool: z
    .string()
    .regex(/^[a-z0-9-]+$/, 'lower-case letters, digits, "-"')
    .default('default'),
  /** Runs at a time in one worker. */
  concurrency: z.int().min(1).max(1000).default(1),
  /** Runs at a time in all workers together; the others wait. */
  maxRunning: z.int().min(1).max(100_000).optional(),
  /**
   * Seconds. `start` and `run` are what a request gets that asks for nothing, `maxStart` and `maxRun` the most it may ask
   * for. Of inference, `run` is for all tries together, `idle` between two chunks of a stream. `firstByte` is for one try,
   * until the first chunk of a stream or a whole answer; unless stated, a chat that does not stream has all of `run`.
   */
  timeouts: z
    .object({
      start: seconds.default(600),
      maxStart: seconds.default(3600),
      run: seconds.default(600),
      maxRun: seconds.default(3600),
      firstByte: seconds.optional(),
      idle: seconds.optional(),
    })
    .prefault({}),
  /** How often a run whose host is unavailable is tried again before its fallbacks are. */
  retries: z.int().min(0).max(20).default(2),
  /** `never`: it has effects outside, and a run whose outcome is unknown fails instead of running again. */
  rerun: z.enum(['safe', 'never']).default('safe'),
  /** Who serves a prediction in its place while it is unavailable, in this order. */
  fallbacks: z.array(slug).max(10).default([]),
  /** Its fallbacks may be partners although it is native itself: what was sent to it may leave this installation. */
  partnerFallbacks: z.boolean().default(false),
  /** Days: for how long files and values of its predictions are kept, where that is shorter than the service's own. */
  retention: z.object({ files: days.optional(), data: days.optional() }).default({}),
  /** What the files of an input may be. */
  inputFiles: z
    .object({
      maxBytes: z.int().min(1).optional(),
      maxCount: z.int().min(0).optional(),
      contentTypes: z
        .array(z.string().regex(/^[a-z0-9.+-]+\/([a-z0-9.+-]+|\*)$/, 'a type such as image/png or image/*'))
        .min(1)
        .optional(),
    })
    .default({}),
  /** How long a process without runs is kept warm. */
  idleSeconds: z.number().min(0).default(300),
  /** Names of environment variables it may see. A model's process gets PATH, HOME, LANG and TMPDIR, and no secret of the service. */
  environment: z.array(z.string()).default([]),
  /** Names of environment variables without which it is not served. */
  requires: z.array(z.string()).default([]),
  /** Listed only where test models are asked for. */
  testOnly: z.boolean().default(false),
})
