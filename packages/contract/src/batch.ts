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
export const batchUrls = ['/v1/predictions', '/v1/chat/completions', '/v1/embeddings'] as const

/** At most so many lines are one batch. */
export const maxBatchLines = 50_000

/** One request of a batch: a line of its file, or one of `requests`. */
export const batchRequest = z.object({
  custom_id: z.string().min(1).max(255).describe('Yours; each once. The answer has it, too'),
  method: z.literal('POST').default('POST').describe('Always POST'),
  url: z.enum(batchUrls).describe('What it aims at'),
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
      .describe('What is not done by then is not run: hours or days such as 24h, at most 7d'),
    metadata: z
      .record(z.string().max(64), z.string().max(512))
      .default({})
      .describe('Strings of your own; the batch has them, too'),
  })
  .refine((body) => (body.input_file_id === undefined) !== (body.requests === undefined), {
    path: ['input_file_id'],
    message: 'or requests is required, one of the two',
  })

const seconds = z.int().nullable()

export const batch = z
  .object({
    id: z.string().describe('batch_…'),
    object: z.literal('batch').describe('Always batch'),
    endpoint: z.string().nullable().describe('What all lines aim at, where the request said so'),
    errors: z
      .object({
        object: z.literal('list').describe('Always list'),
        data: z
          .array(
            z.object({
              code: z.string().describe('For a program'),
              message: z.string().describe('For a person'),
              param: z.string().nullable().describe('The field that it is about'),
              line: z.int().nullable().describe('Of the file, from 1'),
            }),
          )
          .describe('Each'),
      })
      .nullable()
      .describe('What is to be known of its lines or of how it went; null where there is nothing'),
    input_file_id: z.string().describe('The file of its lines'),
    completion_window: z.string().describe('As it was asked for'),
    status: z.enum(batchStatuses).describe('Where it is; completed, failed, expired and cancelled are final'),
    output_file_id: z
      .string()
      .nullable()
      .describe('The answers of the lines that succeeded, once it has ended'),
    error_file_id: z.string().nullable().describe('The answers of the others, once it has ended'),
    created_at: z.int().describe('Unix seconds'),
    in_progress_at: seconds.describe('When its lines had been checked'),
    expires_at: z.int().describe('When its window is over'),
    finalizing_at: seconds.describe('When its answers were begun to be written'),
    completed_at: seconds.describe('When it was done'),
    failed_at: seconds.describe('When its lines were found wrong'),
    expired_at: seconds.describe('When it ended, its window being over'),
    cancelling_at: seconds.describe('When it was asked to stop'),
    cancelled_at: seconds.describe('When it had stopped'),
    request_counts: z
      .object({
        total: z.int().describe('Lines'),
        completed: z.int().describe('Those that succeeded'),
        failed: z.int().describe('Those that did not'),
      })
      .describe('How far it is'),
    metadata: z.record(z.string(), z.string()).describe('Yours'),
  })
  .meta({ id: 'Batch', description: 'Many requests in one' })

/** OpenAI's clients page by the id of the last element. */
export const batchList = z
  .object({
    object: z.literal('list').describe('Always list'),
    data: z.array(batch).describe('Newest first'),
    first_id: z.string().nullable().describe('The first of this page'),
    last_id: z.string().nullable().describe('The last of this page: `after` for the next one'),
    has_more: z.boolean().describe('Whether there is a next one'),
  })
  .meta({ id: 'BatchList', description: 'A page of batches' })

export const listBatchesQuery = z.object({
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(100)
    .optional()
    .describe('How many at once; 20 unless told otherwise'),
  after: z.string().max(64).optional().describe('The id of the last batch of the page before'),
})

export type Batch = z.infer<typeof batch>
export type BatchRequest = z.infer<typeof batchRequest>
export type BatchStatus = (typeof batchStatuses)[number]
