import type { RequestListener } from 'node:http'
import { errors } from '@millrace/contract/errors'
import { counter } from '@millrace/process/metrics'
import { tooMany } from './acceptance.ts'
import { errorReply } from './answer-error.ts'
import type { Context } from './context.ts'
import { newRequestId } from './request-log.ts'

/**
 * Refuses creates before anything else is done for them while as many wait as can: under a flood what is done for the
 * refused is taken from the accepted. So they never reach the app, the replies are written beforehand but for their
 * `request_id`, and they are counted, not logged. What is rare goes the whole way: pages of other origins, whose browsers
 * must be told more, and what comes while the process drains.
 */
export function refuseFloods(
  { acceptance, draining }: Context,
  paths: readonly string[],
  app: RequestListener,
): RequestListener {
  const replies = new Map(paths.map((path) => [path, replyOn(path)]))
  return (request, response) => {
    const reply =
      request.method === 'POST' && acceptance.isFull() ? replies.get(request.url ?? '') : undefined
    if (!reply || request.headers.origin !== undefined || draining.signal.aborted) {
      app(request, response)
      return
    }
    refused.inc()
    const { id } = newRequestId(request.headers['x-request-id'])
    const body = reply(id)
    response.writeHead(errors.SERVICE_UNAVAILABLE.status, [
      'content-type',
      'application/json; charset=utf-8',
      // One byte a character: the reply as much as what a request id may have.
      'content-length',
      String(body.length),
      'retry-after',
      '1',
      'x-request-id',
      id,
    ])
    response.end(body)
  }
}

function replyOn(path: string): (requestId: string) => string {
  const [start = '', end = ''] = JSON.stringify(errorReply(path, tooMany(), '<id>')).split('<id>')
  return (requestId) => start + requestId + end
}

const refused = counter(
  'millrace_creates_refused_total',
  'Creates answered with 503 before anything was done for them, since too many waited to be stored',
)
