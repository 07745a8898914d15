import { databaseNow } from '@millrace/database/clock'
import { sanitiseText } from '@millrace/database/sanitise'
import { type Guard, type Refusal, RefusedTargetError } from '@millrace/outbound/guard'
import { untilAborted } from '@millrace/outbound/until-aborted'
import { Agent, type Dispatcher, request } from 'undici'

/**
 * Sends one request to a target that a user named: to the very address that the guard has judged, never through a
 * proxy, following no redirect. Every ending is an answer; it does not throw.
 *
 * undici and not got, since a signed POST costs 140 µs here and 700 µs there.
 */
export function createPost({ guard, timeoutMs }: PostOptions): Post {
  // An agent of our own: the global one may have been given a proxy from the environment, which would connect where the
  // guard cannot see. Connections are kept, since their address was judged when they were made.
  const agent = new Agent({
    connect: { lookup: guard.lookup, timeout: timeoutMs },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxHeaderSize: 16 * 1024,
    allowH2: false,
  })
  const refusalOf = rememberOrigins(guard)

  async function post(url: string, headers: Record<string, string>, body: string): Promise<Answer> {
    const at = new Date(databaseNow())
    const started = performance.now()
    const signal = AbortSignal.timeout(timeoutMs)
    const answer = await send(url, headers, body, signal).catch((error: unknown) => failed(error, signal))
    return { ...answer, at, durationMs: Math.round(performance.now() - started) }
  }

  async function send(url: string, headers: Record<string, string>, body: string, signal: AbortSignal) {
    const refusal = await untilAborted(signal, refusalOf(url))
    if (refusal) return explainRefusal(refusal)
    const {
      statusCode,
      headers: answered,
      body: stream,
    } = await request(url, {
      method: 'POST',
      headers,
      body,
      signal,
      dispatcher: agent,
    })
    return {
      kind: 'answered' as const,
      statusCode,
      retryAfterSeconds: secondsOf(answered['retry-after']),
      response: await readStart(stream),
    }
  }

  return { post, close: () => agent.destroy() }
}

/**
 * The guard looks at the URL's own address and shape here, where no look-up happens at connect; a name is judged again
 * at every connect, so that a good judgement of an origin may be kept for a while.
 */
function rememberOrigins(guard: Guard): (url: string) => Promise<Refusal | undefined> {
  const permitted = new Map<string, number>()
  return async (url) => {
    const { origin, username, password } = new URL(url)
    const plain = username === '' && password === ''
    if (plain && (permitted.get(origin) ?? 0) > Date.now()) return undefined
    const refusal = await guard.check(url)
    if (refusal) return refusal
    if (permitted.size >= 10_000) permitted.clear()
    if (plain) permitted.set(origin, Date.now() + 60_000)
    return undefined
  }
}

/** At most 16 KB are read, so that an endless answer costs little, and 2 KB of them kept. A cut answer is one, too. */
async function readStart(stream: Dispatcher.ResponseData['body']): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      size += chunk.length
      if (size >= maxRead) break // which destroys the stream
    }
  } catch {
    // The status has come; the rest of the answer decides nothing.
  }
  return sanitiseText(Buffer.concat(chunks).subarray(0, maxKept).toString('utf8'))
}

function secondsOf(retryAfter: string | string[] | undefined): number | undefined {
  if (typeof retryAfter !== 'string') return undefined
  if (/^\d{1,9}$/.test(retryAfter)) return Number(retryAfter)
  const moment = Date.parse(retryAfter)
  return Number.isNaN(moment) ? undefined : Math.max(0, (moment - Date.now()) / 1000)
}

function failed(error: unknown, signal: AbortSignal): Refused | Silent {
  for (let at = error; at instanceof Error; at = at.cause) {
    const all: unknown[] = at instanceof AggregateError ? at.errors : [at]
    const refused = all.find((one) => one instanceof RefusedTargetError)
    if (refused) return explainRefusal(refused.refusal)
  }
  if (signal.aborted) return { kind: 'silent', error: 'There was no answer in time' }
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return { kind: 'silent', error: explanations[code] ?? `The request failed${code && ` (${code})`}` }
}

// One text for every refusal: it must not tell whether the name exists or anything listens there.
function explainRefusal({ reason }: Refusal): Refused | Silent {
  if (reason === 'unanswered') return { kind: 'silent', error: 'The name of the host could not be looked up' }
  return { kind: 'refused', error: 'The target may not be called by this service' }
}

const explanations: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'The connection was refused',
  ECONNRESET: 'The connection was closed without an answer',
  UND_ERR_SOCKET: 'The connection was closed without an answer',
  UND_ERR_CONNECT_TIMEOUT: 'The connection could not be made in time',
  UND_ERR_HEADERS_TIMEOUT: 'There was no answer in time',
  UND_ERR_HEADERS_OVERFLOW: 'The headers of the answer were too large',
  UND_ERR_DESTROYED: 'This service stopped before the answer came',
  ETIMEDOUT: 'The connection could not be made in time',
}

const maxRead = 16 * 1024
const maxKept = 2 * 1024

export interface Post {
  post(url: string, headers: Record<string, string>, body: string): Promise<Answer>
  close(): Promise<void>
}

/** What came of one request. */
export type Answer = (Answered | Silent | Refused | Unsigned) & { at: Date; durationMs: number }

interface Answered {
  kind: 'answered'
  statusCode: number
  retryAfterSeconds: number | undefined
  response: string
}

/** The host gave no answer. */
interface Silent {
  kind: 'silent'
  error: string
}

/** The guard did not let the request out. */
interface Refused {
  kind: 'refused'
  error: string
}

/** Nothing was tried: there is no secret to sign with. */
interface Unsigned {
  kind: 'unsigned'
  error: string
}

interface PostOptions {
  guard: Guard
  timeoutMs: number
}
