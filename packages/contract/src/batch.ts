import { z } from 'zod'

/** The words of a batch's status, as OpenAI's clients know them. */
export const batchStatuses = [
  'validating',
  'failed',
  'in_progress',
  'finalizing',
  'completed',
  'expired',
  'cancelling',
  'cancelled',
] as const

/** What lines may aim at. */
export const batchUrls = ['/v1/predictions'] as const

/** At most so many lines are one batch. */
export const maxBatchLines = 50_000

/** One request of a batch: a line of its file, or one of `requests`. */
export const batchRequest = z.object({
  custom_id: z.string().min(1).max(255).describe('Yours; each once. The answer has it, too'),
  method: z.literal('POST').default('POST'),
  url: z.enum(batchUrls),
  body: z.record(z.string(), z.unknown()).describe('What would be posted there'),
})

/** OpenAI's body, or the lines themselves. */
export const createBatch = z
  .object({
    input_file_id: z.string().optional().describe('A file of JSONL, uploaded with `purpose: batch`'),
    requests: z.array(batchRequest).min(1).max(maxBatchLines).optional().describe('The same lines, inline'),
    endpoint: z.enum(batchUrls).optional().describe('What all lines aim at'),
    completion_window: z
      .string()
      .regex(/^([1-9]\d?h|1[0-5]\dh|16[0-8]h|[1-7]d)$/, 'must be hours or days such as 24h, at most 7d')
      .default('24h')
      .describe('What is not done by then is not run'),
    metadata: z.record(z.string().max(64), z.string().max(512)).default({}),
  })
  .refine((body) => (body.input_file_id === undefined) !== (body.requests === undefined), {
    path: ['input_file_id'],
    message: 'or requests is required, one of the two',
  })

const seconds = z.int().nullable()

export const batch = z
  .object({
    id: z.string(),
    object: z.literal('batch'),
    endpoint: z.string().nullable(),
    errors: z
      .object({
        object: z.literal('list'),
        data: z.array(
          z.object({
            code: z.string(),
            message: z.string(),
            param: z.string().nullable(),
            line: z.int().nullable(),
          }),
        ),
      })
      .nullable(),
    input_file_id: z.string(),
    completion_window: z.string(),
    status: z.enum(batchStatuses),
    output_file_id: z.string().nullable(),
    error_file_id: z.string().nullable(),
    created_at: z.int(),
    in_progress_at: seconds,
    expires_at: z.int(),
    finalizing_at: seconds,
    completed_at: seconds,
    failed_at: seconds,
    expired_at: seconds,
    cancelling_at: seconds,
    cancelled_at: seconds,
    request_counts: z.object({ total: z.int(), completed: z.int(), failed: z.int() }),
    metadata: z.record(z.string(), z.string()),
  })
  .meta({ id: 'Batch' })

/** OpenAI's clients page by the id of the last element. */
export const batchList = z
  .object({
    object: z.literal('list'),
    data: z.array(batch),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
    has_more: z.boolean(),
  })
  .meta({ id: 'BatchList' })

export const listBatchesQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100).optional(),
  after: z.string().max(64).optional().describe('The id of the last batch of the page before'),
})

export type Batch = z.infer<typeof batch>
export type BatchRequest = z.infer<typeof batchRequest>
export type BatchStatus = (typeof batchStatuses)[number]
