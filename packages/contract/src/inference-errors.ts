import { z } from 'zod'
import { type ErrorId, errors, predictionErrorIds } from './errors.ts'

/** The error envelope of inference: OpenAI's, with the words of ours beside theirs. */
export const inferenceErrorBody = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.string(),
      code: z.string(),
      error_id: z.string(),
      status: z.int(),
      param: z.string().nullable().describe('The field of the request that it is about'),
      request_id: z.string(),
      details: z.object({
        category: z.enum(['request', 'auth', 'billing', 'limit', 'safety', 'inference']),
        prediction_id: z.string().optional().describe('The prediction that was made for the request'),
      }),
    }),
  })
  .meta({ id: 'InferenceError' })

/** How inference says an error: the `type` and `code` that OpenAI's clients know, and what kind of trouble it is. */
export function inferenceWords(id: ErrorId): InferenceWords {
  const { status } = errors[id]
  const [type, category] = byStatus[status] ?? (status < 500 && !ofRuns.includes(id) ? asRequest : asServer)
  return { type: types[id] ?? type, code: codes[id] ?? id.toLowerCase(), category }
}

/** What a run failed with is no fault of the request. */
const ofRuns: readonly string[] = [...predictionErrorIds, 'CANCELLED']

const asRequest = ['invalid_request_error', 'request'] as const
const asServer = ['server_error', 'inference'] as const

const byStatus: Readonly<Record<number, readonly [type: string, category: Category]>> = {
  401: ['authentication_error', 'auth'],
  402: ['insufficient_balance', 'billing'],
  403: ['permission_error', 'auth'],
  429: ['rate_limit_error', 'limit'],
  451: ['content_policy_violation', 'safety'],
}

const types: Partial<Record<ErrorId, string>> = { MODEL_NOT_FOUND: 'server_error' }

/** Where it is not the id in small letters. */
const codes: Partial<Record<ErrorId, string>> = {
  UNAUTHORIZED: 'invalid_api_key',
  INFERENCE_ERROR: 'service_error',
  SERVICE_UNAVAILABLE: 'service_error',
  PROVIDER_UNAVAILABLE: 'service_error',
  WORKER_LOST: 'service_error',
  INFERENCE_TIMEOUT: 'timeout',
  RUN_TIMEOUT: 'timeout',
  START_TIMEOUT: 'timeout',
}

export type InferenceErrorBody = z.infer<typeof inferenceErrorBody>

type Category = InferenceErrorBody['error']['details']['category']

interface InferenceWords {
  type: string
  code: string
  category: Category
}
