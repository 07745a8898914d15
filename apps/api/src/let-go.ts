import type { RequestHandler } from 'express'
import type { Context } from './context.ts'

/** While draining, a connection ends with its answer: kept alive, it would hold the process. */
export function letGo({ draining }: Context): RequestHandler {
  return (request, response, next) => {
    response.once('finish', () => {
      if (draining.signal.aborted) request.socket.destroySoon()
    })
    next()
  }
}
