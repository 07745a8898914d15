import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { pipeline } from 'node:stream/promises'
import type { HTTPError, PlainResponse } from 'got'
import { byteLimit, TooLargeError } from './byte-limit.ts'
import { type Guard, RefusedTargetError } from './guard.ts'
import { untilAborted } from './until-aborted.ts'

/**
 * Downloads a file that a user named into `into`, which is left behind only when all of it has arrived.
 * Throws FetchFileError, whose message is for that user; an abort throws the signal's own reason.
 */
export async function fetchFile(
  guard: Guard,
  url: string,
  limits: FetchLimits,
  into: string,
): Promise<FetchedFile> {
  const timeout = AbortSignal.timeout(limits.timeoutMs)
  const signal = limits.signal ? AbortSignal.any([limits.signal, timeout]) : timeout
  try {
    return await download(guard, url, { ...limits, signal }, into)
  } catch (error) {
    await rm(into, { force: true })
    limits.signal?.throwIfAborted()
    throw explain(error, timeout.aborted)
  }
}

async function download(guard: Guard, url: string, { maxBytes, signal, headersFor }: Download, into: string) {
  // Loaded by who fetches something: its modules take 12 MB of a process.
  const { default: got } = await import('got')
  await untilAborted(signal, refuseClosed(guard, url))
  const own = headersFor?.(new URL(url)) ?? {}
  const request = got.stream(url, {
    dnsLookup: guard.lookup,
    agent: directAgents,
    followRedirect: true,
    maxRedirects: 5,
    retry: { limit: 0 },
    signal,
    headers: { 'user-agent': 'Millrace', ...own },
    hooks: {
      beforeRedirect: [
        async (next) => {
          await refuseClosed(guard, String(next.url))
          // What one address is told is not for the next.
          for (const name of Object.keys(own)) delete next.headers[name.toLowerCase()]
          Object.assign(next.headers, headersFor?.(new URL(String(next.url))))
        },
      ],
    },
  })
  let response: PlainResponse | undefined
  request.once('response', (answer: PlainResponse) => {
    response = answer
    if (Number(answer.headers['content-length']) > maxBytes) request.destroy(new TooLargeError(maxBytes))
  })
  const counted = byteLimit(maxBytes)
  await pipeline(request, counted, createWriteStream(into), { signal })
  if (!response) throw new Error('The stream ended without a response')
  return {
    contentType: response.headers['content-type'] ?? 'application/octet-stream',
    bytes: counted.bytes,
    name: nameFrom(response.url),
    url: response.url,
  }
}

// Agents of our own: Node's global ones may take a proxy from the environment (NODE_USE_ENV_PROXY), and a proxy would
// connect where the guard cannot see. No keep-alive: a socket is judged when it connects, and serves one request.
const directAgents = {
  http: new HttpAgent({ keepAlive: false }),
  https: new HttpsAgent({ keepAlive: false }),
}

async function refuseClosed(guard: Guard, url: string): Promise<void> {
  const refusal = await guard.check(url)
  if (refusal) throw new RefusedTargetError(refusal)
}

function nameFrom(url: string): string {
  const last = new URL(url).pathname.split('/').at(-1) ?? ''
  try {
    return decodeURIComponent(last) || 'file'
  } catch {
    return last
  }
}

function explain(error: unknown, timedOut: boolean): FetchFileError {
  const refused = causeOf(error, RefusedTargetError)
  if (refused) {
    const reason = refused.refusal.reason === 'unanswered' ? 'unreachable' : 'refused'
    return new FetchFileError(reason, refused.message, error)
  }
  const tooLarge = causeOf(error, TooLargeError)
  if (tooLarge) return new FetchFileError('too-large', tooLarge.message, error)
  if (timedOut) return new FetchFileError('timeout', 'The file did not arrive in time', error)
  if (isHttpError(error)) {
    return new FetchFileError('status', `The file's host answered HTTP ${error.response.statusCode}`, error)
  }
  return new FetchFileError('unreachable', 'The file could not be fetched from its host', error)
}

const isHttpError = (error: unknown): error is HTTPError =>
  error instanceof Error && error.name === 'HTTPError'

/** got wraps what a socket or a hook throws, more than once on redirects. */
function causeOf<T extends Error>(error: unknown, kind: new (...args: never[]) => T): T | undefined {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof kind) return at
  return undefined
}

export class FetchFileError extends Error {
  readonly reason: FetchFailure

  constructor(reason: FetchFailure, message: string, cause: unknown) {
    super(message, { cause })
    this.name = 'FetchFileError'
    this.reason = reason
  }
}

export type FetchFailure = 'refused' | 'too-large' | 'timeout' | 'status' | 'unreachable'

export type FetchLimits = {
  maxBytes: number
  timeoutMs: number
  signal?: AbortSignal | undefined
  /** What each address on the way is told beside the usual, such as a key. */
  headersFor?: ((url: URL) => Record<string, string>) | undefined
}

/** `url` is where it was, after redirects. */
export type FetchedFile = { contentType: string; bytes: number; name: string; url: string }

type Download = Pick<FetchLimits, 'maxBytes' | 'headersFor'> & { signal: AbortSignal }
