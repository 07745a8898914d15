import { Agent } from 'undici'

/**
 * The connections to the hosts of models, kept between requests. An agent of our own: the global one may have been given
 * a proxy by the environment. It has no time-outs but the one to connect, since whoever asks has a signal.
 */
export function createUpstreamAgent({ connectMs = 10_000 }: { connectMs?: number } = {}): Agent {
  return new Agent({
    connect: { timeout: connectMs },
    headersTimeout: 0,
    bodyTimeout: 0,
    maxHeaderSize: 64 * 1024,
    allowH2: false,
  })
}
