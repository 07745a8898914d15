import type { InferenceErrorId, InferenceFault } from './fault.ts'

/** What an error is called where it is told inside a stream, when no status line can be sent any more. */
export const faultWords = {
  INVALID_REQUEST: { status: 400, code: 'invalid_request' },
  INVALID_PARAMETER: { status: 400, code: 'invalid_parameter' },
  CONTENT_POLICY_VIOLATION: { status: 451, code: 'content_policy_violation' },
  RATE_LIMITED: { status: 429, code: 'rate_limited' },
  INFERENCE_ERROR: { status: 502, code: 'service_error' },
  SERVICE_UNAVAILABLE: { status: 503, code: 'service_error' },
  INFERENCE_TIMEOUT: { status: 504, code: 'timeout' },
} as const satisfies Record<InferenceErrorId, { status: number; code: string }>

/** The words for what is no `InferenceFault`: our own mistake, of which the caller learns nothing more. */
export const ownMistake = { status: 500, code: 'internal_error', message: 'Something went wrong here.' }

/** Status, code and message of what ended a stream. */
export function wordsOf(fault: InferenceFault | undefined): {
  status: number
  code: string
  message: string
} {
  if (!fault) return ownMistake
  return { ...faultWords[fault.errorId], message: fault.message }
}
