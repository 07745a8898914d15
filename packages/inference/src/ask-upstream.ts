import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import type { BackendCall } from './backend.ts'
import { decoded } from './decode-body.ts'
import { gather } from './gather.ts'
import { unreachable } from './host-faults.ts'
import type { HostSettings } from './host-settings.ts'
import { readRefusal } from './refusals.ts'
import { createScrub } from './scrub.ts'

/**
 * Posts JSON to a host, once, and answers when its headers are there. It follows no redirect, since the request holds a
 * key. Throws InferenceFault for what is no answer in 2xx, and the reason of the call's signal when that fired.
 */
export function createAsk(settings: HostSettings, agent: Dispatcher): AskUpstream {
  const { origin, pathname, search } = new URL(settings.baseUrl)
  const base = pathname.replace(/\/+$/, '')
  const scrub = createScrub(settings)
  const standing = {
    'content-type': 'application/json',
    'user-agent': 'Millrace',
    ...(settings.apiKey ? { authorization: `Bearer ${settings.apiKey}` } : {}),
  }

  return async ({ path, json, accept, slug }, call) => {
    const { signal, requestId } = call
    signal.throwIfAborted()
    const { statusCode, headers, body } = await agent
      .request({
        origin,
        path: `${base}${path}${search}`,
        method: 'POST',
        headers: { ...standing, accept, 'x-request-id': requestId },
        body: JSON.stringify(json),
        signal,
      })
      .catch((error: unknown) => {
        signal.throwIfAborted()
        throw unreachable(error)
      })
    const bytes = decoded(body, headers['content-encoding'])
    if (statusCode >= 200 && statusCode < 300) return { headers, bytes }
    const text = await gather(bytes, { most: maxRefusalBytes, signal }).catch(() => '')
    signal.throwIfAborted()
    throw readRefusal({ status: statusCode, headers, text }, (words) => scrub(words, slug))
  }
}

/** What a host says no with is read so far. */
const maxRefusalBytes = 256 * 1024

export type AskUpstream = (question: UpstreamQuestion, call: BackendCall) => Promise<UpstreamAnswer>

export interface UpstreamQuestion {
  /** Below the base URL of the host. */
  path: string
  json: unknown
  accept: string
  /** What the caller calls the model: in words of the host it stands for what the host calls it. */
  slug: string
}

/** An answer that has begun. Its bytes are read once. */
export interface UpstreamAnswer {
  headers: IncomingHttpHeaders
  bytes: AsyncIterable<Uint8Array>
}
