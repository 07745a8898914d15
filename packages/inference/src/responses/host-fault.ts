import { isRecord } from '@millrace/models/is-record'
import { InferenceFault } from '../fault.ts'

/** The fault that a host's failed response, or the `error` event of its stream, tells of. */
export function hostFault(error: unknown): InferenceFault {
  const { code, message } = isRecord(error) ? error : {}
  const words = typeof message === 'string' ? message : undefined
  if (code === 'rate_limit_exceeded') {
    return new InferenceFault('SERVICE_UNAVAILABLE', 'The model has no room now.', {
      busy: true,
      elsewhere: true,
      cause: error,
    })
  }
  if (code === 'content_filter' || code === 'content_policy_violation') {
    return new InferenceFault('CONTENT_POLICY_VIOLATION', words ?? 'The content was refused.', {
      cause: error,
    })
  }
  if (typeof code === 'string' && /^invalid|image|too_long|context_length/.test(code)) {
    return new InferenceFault('INVALID_REQUEST', words ?? 'The model does not take this request.', {
      cause: error,
    })
  }
  return new InferenceFault('INFERENCE_ERROR', 'The model failed to answer.', {
    down: true,
    elsewhere: true,
    cause: error,
  })
}
