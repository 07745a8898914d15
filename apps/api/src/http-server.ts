import { createServer, type RequestListener, type Server } from 'node:http'
import { refuseBroken } from './refuse-broken.ts'

/** The api's HTTP server: how long a request may take to arrive, and what answers the ones that never reach a route. */
export function createHttpServer(
  listener: RequestListener,
  { headSeconds = 60, requestSeconds = 3600 }: ArrivalLimits = {},
): Server {
  const headersTimeout = headSeconds * 1000
  const limits = {
    // Longer than the idle time-outs of common load balancers, which must be the ones to hang up.
    keepAliveTimeout: 75_000,
    headersTimeout,
    requestTimeout: requestSeconds * 1000,
    connectionsCheckingInterval: headersTimeout / 4,
  }
  return createServer(limits, listener).on('clientError', refuseBroken)
}

export interface ArrivalLimits {
  /** For the request line and the headers; anybody can open a socket. */
  headSeconds?: number
  /** For the whole request: an upload over a slow line takes its time, but none takes for ever. */
  requestSeconds?: number
}
