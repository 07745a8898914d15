import { type ErrorBody, errors } from '@millrace/contract/errors'
import type { InferenceErrorBody } from '@millrace/contract/inference-errors'
import type { MessagesErrorBody } from '@millrace/contract/messages'
import { isPassing, isUnreachable } from '@millrace/database/faults'
import type { ErrorRequestHandler, RequestHandler } from 'express'
import { ApiError, errorEnvelope } from './api-error.ts'
import type { Context } from './context.ts'
import { messagesError } from './dialects/anthropic/errors.ts'
import { inSkillBossDialect } from './dialects/skillboss/errors.ts'
import { envelopeOf } from './envelope-of.ts'
import { inferenceError } from './inference-error.ts'
import { sendJson } from './send-json.ts'

/** The one place where errors become replies. What is unforeseen is logged whole and answered without a trace of it. */
export function answerErrors({ log }: Context): ErrorRequestHandler {
  return (thrown: unknown, request, response, _next) => {
    // Nobody is there to be answered, and nothing went wrong.
    if (response.destroyed && isAbort(thrown)) return
    const known = asApiError(thrown)
    const requestId = String(response.getHeader('x-request-id') ?? '')
    if (known.id === 'INTERNAL_ERROR') log.error({ err: thrown, request_id: requestId }, 'a request failed')
    response.locals.errorId = known.id
    if (response.headersSent) {
      response.destroy()
      return
    }
    const { status, retryable } = errors[known.id]
    response.set(known.options.headers ?? {})
    if (retryable && !response.hasHeader('retry-after')) response.set('retry-after', '1')
    sendJson(response, status, errorReply(request.path, known, requestId, request.get('anthropic-version')))
  }
}

function isAbort(thrown: unknown): boolean {
  return thrown instanceof DOMException && thrown.name === 'AbortError'
}

/** What no route took. */
export const unknownEndpoint: RequestHandler = (request) => {
  throw new ApiError('ENDPOINT_NOT_FOUND', `There is no endpoint ${request.method} ${request.path}.`)
}

/** The body of an error in the shape that a path's clients read. */
export function errorReply(
  path: string,
  error: ApiError,
  requestId: string,
  anthropicVersion?: string,
): ErrorBody | InferenceErrorBody | MessagesErrorBody {
  switch (envelopeOf(path, anthropicVersion)) {
    case 'inference':
      return inferenceError(error, requestId)
    case 'anthropic':
      return messagesError(error, requestId)
    case 'rest':
      return errorEnvelope(inSkillBossDialect(path, error), requestId)
  }
}

/** What was thrown as an error of the API: INTERNAL_ERROR where nobody foresaw it. */
export function asApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown
  if (isUnreachable(thrown)) return new ApiError('SERVICE_UNAVAILABLE')
  if (isPassing(thrown)) return new ApiError('SERVICE_UNAVAILABLE', 'The service is busy.')
  if (thrown instanceof URIError)
    return new ApiError('INVALID_REQUEST', 'The path is not properly percent-encoded.')
  if (typeof thrown === 'object' && thrown !== null && 'type' in thrown) {
    if (thrown.type === 'entity.too.large') return new ApiError('PAYLOAD_TOO_LARGE')
    if (
      thrown.type === 'encoding.unsupported' ||
      thrown.type === 'request.aborted' ||
      thrown.type === 'request.size.invalid'
    ) {
      return new ApiError('INVALID_REQUEST', 'The request body could not be read.')
    }
  }
  if (typeof thrown === 'object' && thrown !== null && 'status' in thrown && thrown.status === 400) {
    return new ApiError('INVALID_REQUEST')
  }
  return new ApiError('INTERNAL_ERROR')
}
