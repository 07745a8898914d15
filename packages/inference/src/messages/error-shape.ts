import type { MessagesError } from './message.ts'

/** An error in Anthropic's shape, whose type follows from the HTTP status. */
export function messagesError(status: number, message: string, requestId?: string): MessagesError {
  const type = types[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error')
  return {
    type: 'error',
    error: { type, message },
    ...(requestId !== undefined && { request_id: requestId }),
  }
}

const types: Partial<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  503: 'overloaded_error',
  504: 'timeout_error',
  529: 'overloaded_error',
}
