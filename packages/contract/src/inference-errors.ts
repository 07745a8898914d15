import { z } from 'zod'
import { type ErrorId, errors, predictionErrorIds } from './errors.ts'

/** The error envelope of inference: OpenAI's, with the words of ours beside theirs. */
export const inferenceErrorBody = z
  .object({
    error: z
      .object({
        message: z.string().describe('In words: what is wrong, and what to do'),
        type: z.string().describe('The kind, as OpenAI’s clients know it'),
        code: z.string().describe('Which error, in small letters'),
        error_id: z.string().describe('Which error; docs/errors.md lists them'),
        status: z.int().describe('The HTTP status; in a stream, what it would have been'),
        param: z.string().nullable().describe('The field of the request that it is about'),
        request_id: z.string().describe('Finds the call in the log'),
        details: z
          .object({
            category: z
              .enum(['request', 'auth', 'billing', 'limit', 'safety', 'inference'])
              .describe('Whose trouble it is'),
            prediction_id: z.string().optional().describe('The prediction that was made for the request'),
          })
          .describe('What else is known'),
      })
      .describe('What went wrong'),
  })
  .meta({ id: 'InferenceError', description: 'An error of a surface for inference' })

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
  SECURITY_VIOLATION: 'forbidden',
  MODEL_FORBIDDEN: 'forbidden',
  SCOPE_REQUIRED: 'forbidden',
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
