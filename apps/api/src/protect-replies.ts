import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RequestHandler } from 'express'
import helmet from 'helmet'
import type { Config } from './config.ts'

/**
 * The headers of every reply that keep browsers from doing more with it than it is for. Replies are data: nothing in them
 * runs or is framed. The pages that show something set a policy of their own.
 *
 * Helmet says them once: they are the same for every request, and asking it for each is a part of what a request costs.
 */
export function protectReplies({ PUBLIC_URL }: Pick<Config, 'PUBLIC_URL'>): RequestHandler {
  const said = new Map<string, string>()
  const listener = {
    setHeader: (name: string, value: string) => said.set(name, value),
    removeHeader: (name: string) => said.delete(name),
  }
  helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
    strictTransportSecurity: PUBLIC_URL.startsWith('https:'),
  })({} as IncomingMessage, listener as unknown as ServerResponse, () => {})
  return (_request, response, next) => {
    response.setHeaders(said)
    next()
  }
}
