import type { ErrorId } from '@millrace/contract/errors'
import { ApiError } from '../../api-error.ts'

/** On `/v1/run` and `/v1/job` errors also carry `type` and `code`, as that dialect's clients read them. */
export function inSkillBossDialect(path: string, error: ApiError): ApiError {
  if (!/^\/v1\/(run|jobs?)(\/|$)/i.test(path)) return error
  const [type, code] = words[error.id] ?? ['invalid_request_error', error.id.toLowerCase()]
  return new ApiError(error.id, error.message, { type, code, ...error.options })
}

const words: Partial<Record<ErrorId, [type: string, code: string]>> = {
  UNAUTHORIZED: ['invalid_request_error', 'invalid_api_key'],
  ACCOUNT_SUSPENDED: ['invalid_request_error', 'account_suspended'],
  RATE_LIMIT_EXCEEDED: ['rate_limit_error', 'rate_limit_exceeded'],
  QUEUE_FULL: ['rate_limit_error', 'queue_full'],
  INTERNAL_ERROR: ['server_error', 'internal_error'],
  SERVICE_UNAVAILABLE: ['server_error', 'service_error'],
  PROVIDER_UNAVAILABLE: ['server_error', 'provider_unavailable'],
  WORKER_LOST: ['server_error', 'worker_lost'],
  RUN_TIMEOUT: ['server_error', 'timeout'],
  START_TIMEOUT: ['server_error', 'timeout'],
  MODEL_ERROR: ['model_error', 'model_error'],
  CONTENT_POLICY_VIOLATION: ['content_policy_violation', 'content_policy_violation'],
  INVALID_OUTPUT: ['model_error', 'invalid_output'],
}
