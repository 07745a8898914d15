import { errors } from '@millrace/contract/errors'
import { counter } from '@millrace/process/metrics'
import type { RequestHandler } from 'express'
import { tooMany } from './acceptance.ts'
import { errorReply } from './answer-error.ts'
import type { Context } from './context.ts'

/**
 * Refuses creates before anything else is done for them while as many wait as can: under a flood what is done for the
 * refused is taken from the accepted. So the replies are written beforehand but for their `request_id`, and they are
 * counted, not logged.
 */
export function refuseFloods({ acceptance }: Context, paths: readonly string[]): RequestHandler {
  const replies = new Map(paths.map((path) => [path, replyOn(path)]))
  return (request, response, next) => {
    const reply = request.method === 'POST' && acceptance.isFull() ? replies.get(request.url) : undefined
    if (!reply) {
      next()
      return
    }
    refused.inc()
    response.writeHead(errors.SERVICE_UNAVAILABLE.status, headers)
    response.end(reply(String(response.getHeader('x-request-id'))))
  }
}

function replyOn(path: string): (requestId: string) => string {
  const [start = '', end = ''] = JSON.stringify(errorReply(path, tooMany(), '<id>')).split('<id>')
  return (requestId) => start + requestId + end
}

const headers = { 'content-type': 'application/json; charset=utf-8', 'retry-after': '1' }

const refused = counter(
  'millrace_creates_refused_total',
  'Creates answered with 503 before anything was done for them, since too many waited to be stored',
)
