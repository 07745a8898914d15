import { newId, toTypeId } from '@millrace/database/ids'
import { histogram } from '@millrace/process/metrics'
import type { RequestHandler } from 'express'
import type { Context } from './context.ts'
import { envelopeOf } from './envelope-of.ts'

/** Every reply carries `x-request-id`: the caller's when it is sane, else ours. */
export const requestId: RequestHandler = (request, response, next) => {
  const { id, own } = newRequestId(request.headers['x-request-id'])
  // What the request makes may have the same id: never one that a caller chose.
  response.locals.requestId = own
  response.set('x-request-id', id)
  // The name by which Anthropic's clients read it.
  if (envelopeOf(request.path, request.get('anthropic-version')) === 'anthropic')
    response.set('request-id', id)
  next()
}

/** The id of a request: the caller's when it is sane, else `own`, as the public spells it. */
export function newRequestId(given: string | string[] | undefined): { id: string; own?: string } {
  if (typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given)) return { id: given }
  const own = newId()
  return { id: toTypeId('req', own), own }
}

/** One wide line per request, and its duration as a metric. */
export function logRequests({ log }: Context): RequestHandler {
  return (request, response, next) => {
    const started = performance.now()
    response.once('close', () => {
      const seconds = (performance.now() - started) / 1000
      const path = request.route?.path ?? 'unknown'
      durations.observe({ method: request.method, path, status: response.statusCode }, seconds)
      log.info(
        {
          request_id: response.getHeader('x-request-id'),
          method: request.method,
          // An address that is a secret itself stays out of the log.
          path: String(path).includes(':token') ? path : request.path,
          status: response.statusCode,
          error_id: response.locals.errorId,
          account_id: response.locals.accountId,
          seconds,
          finished: response.writableFinished,
        },
        'request',
      )
    })
    next()
  }
}

const durations = histogram('millrace_http_request_seconds', 'Time to answer a request', [
  'method',
  'path',
  'status',
])
