import type { RequestHandler, Response } from 'express'
import type { Context } from './context.ts'

/** While draining, every answer tells its client to close the connection: the next request goes elsewhere. */
export function letGo({ draining }: Context): RequestHandler {
  const open = new Set<Response>()
  draining.signal.addEventListener('abort', () => open.forEach(tellToGo))
  return (_request, response, next) => {
    if (draining.signal.aborted) tellToGo(response)
    open.add(response)
    response.once('close', () => open.delete(response))
    next()
  }
}

function tellToGo(response: Response): void {
  if (!response.headersSent) response.set('connection', 'close')
}
