import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Guard, Refusal } from '@millrace/outbound/guard'
import type { Got, PlainResponse, Request, RequestError } from 'got'
import { Failed, Unavailable } from './faults.ts'
import { isPolicy, textIn } from './host-words.ts'
import { isWordy, wordyText } from './wordy.ts'

/**
 * Asks hosts over HTTP for one run. What a host's silence, its connection or its status says of it is read the same way
 * for every kind: it throws Unavailable or Failed, unless the kind `takes` that status itself. An abort throws the
 * signal's reason. Nothing is repeated here: whether to try again is for the run to say. A redirect is followed where a
 * question changes nothing and only within its origin, since the headers may hold a key.
 */
export function createAskHost(options: AskHostOptions): AskHost {
  const { signal, maxAnswerBytes = 256 * 1024 * 1024 } = options

  async function open(question: Question): Promise<Opened> {
    const own = AbortSignal.any([signal, ...(question.signal ? [question.signal] : [])])
    own.throwIfAborted()
    // Loaded by who asks a host: its modules take 12 MB of a process.
    const { default: got } = await import('got')
    const refusal = await question.guard?.check(question.url)
    if (refusal) throw refused(refusal)
    own.throwIfAborted()
    const request = send(got, question, own, options)
    const response = await answered(request).catch((error: unknown) => {
      own.throwIfAborted()
      throw unreachable(error, question)
    })
    const { statusCode: status, headers } = response

    async function* chunks(): AsyncGenerator<Uint8Array, void> {
      try {
        for await (const chunk of request) yield chunk
      } catch (error) {
        own.throwIfAborted()
        throw unreachable(error, question)
      } finally {
        request.destroy()
      }
    }

    async function whole(): Promise<Answer> {
      const bytes = await gather(chunks(), maxAnswerBytes)
      return { status, headers, bytes, body: parsed(bytes, headers, isTaken(question, status)) }
    }

    if (!isTaken(question, status)) {
      const answer = await whole()
      throw question.fault?.(answer) ?? faultOf(answer, question)
    }
    return { status, headers, chunks, whole }
  }

  async function ask(question: Question): Promise<Answer> {
    return (await open(question)).whole()
  }

  async function* stream(question: Question): AsyncGenerator<Uint8Array, void> {
    yield* (await open(question)).chunks()
  }

  return Object.assign(ask, { stream, open })
}

function send(
  got: Got,
  question: Question,
  signal: AbortSignal,
  { timeoutMs = 60_000 }: AskHostOptions,
): Request {
  const { url, method = 'GET', headers, json, body, patient, guard } = question
  const home = new URL(url).origin
  const request = got.stream(url, {
    method,
    headers: { 'user-agent': 'Millrace', accept: 'application/json', ...headers },
    ...(json === undefined ? {} : { json }),
    ...(body === undefined ? {} : { body }),
    ...(guard ? { dnsLookup: guard.lookup } : {}),
    agent: changes(method) ? freshAgents : keptAgents,
    followRedirect: changes(method)
      ? false
      : (response) => URL.parse(response.headers.location ?? '', response.url)?.origin === home,
    maxRedirects: 5,
    throwHttpErrors: false,
    retry: { limit: 0 },
    timeout: {
      lookup: connectMs,
      connect: connectMs,
      secureConnect: connectMs,
      ...(patient ? {} : { response: timeoutMs, socket: timeoutMs }),
    },
    signal,
  })
  // A stream that may have a body waits for it.
  if (changes(method) && json === undefined && body === undefined) request.end()
  return request
}

function answered(request: Request): Promise<PlainResponse> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve).once('error', reject)
    // An error after the response is for whoever reads the body.
    request.on('error', () => undefined)
  })
}

async function gather(chunks: AsyncIterable<Uint8Array>, most: number): Promise<Buffer> {
  const gathered: Uint8Array[] = []
  let size = 0
  for await (const chunk of chunks) {
    size += chunk.length
    if (size > most)
      throw new Failed(`The host's answer is larger than ${most / 1024 / 1024} MB.`, 'INVALID_OUTPUT')
    gathered.push(chunk)
  }
  return Buffer.concat(gathered)
}

function parsed(bytes: Buffer, headers: PlainResponse['headers'], strict: boolean): unknown {
  const type = headers['content-type'] ?? ''
  if (!/json|text|xml/.test(type) && type !== '') return undefined
  if (isWordy(bytes)) throw new Failed(wordyText, 'INVALID_OUTPUT')
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '')
  try {
    return JSON.parse(text)
  } catch {
    if (strict && text !== '' && /\bjson\b/.test(type))
      throw new Failed('The host said that its answer is JSON, and it is none.', 'INVALID_OUTPUT')
    return text
  }
}

function isTaken({ takes = [] }: Question, status: number): boolean {
  return (status >= 200 && status < 300) || takes.includes(status)
}

/** A question that was never sent did nothing; one that was may have been heard. */
function unreachable(error: unknown, { url, method }: Question): Unavailable {
  const code = codeOf(error)
  // Nothing was sent, and nothing is the matter with the host.
  if (code === 'ERR_INVALID_CHAR' || code === 'ERR_INVALID_HTTP_TOKEN')
    return new Unavailable(
      'A header for the host cannot be sent: does the value of a variable end in a line break?',
      {},
      error,
    )
  const reason = code === 'ETIMEDOUT' ? 'The host did not answer in time' : 'The host could not be reached'
  return new Unavailable(
    `${reason}${code ? ` (${code})` : ''}.`,
    { down: true, ...(changes(method) && wasSent(error, url) ? { uncertain: true } : {}) },
    error,
  )
}

/** Whatever changes something has a connection of its own, so that its connection began with it. */
function wasSent(error: unknown, url: string): boolean {
  const { timings } = error as Partial<RequestError>
  if (!timings) return true
  const { connect, secureConnect } = timings
  return (url.startsWith('https:') ? secureConnect : connect) !== undefined
}

/** The words of the guard are the same for every closed address, whatever is there. */
function refused({ reason, message }: Refusal): Error {
  return reason === 'unanswered'
    ? new Unavailable(`${message}.`, { down: true })
    : new Failed(`The host named an address that is not asked. ${message}.`)
}

/** What a status that nobody takes says of the host, or of what it was sent. */
export function faultOf({ status, headers, body }: Answer, { method }: Pick<Question, 'method'> = {}): Error {
  const said = textIn(body)
  const detail = `The host answered HTTP ${status}${said ? `: ${said}` : ''}`
  if (status >= 300 && status < 400) return new Failed(`${detail}, and leads elsewhere.`)
  if (status < 500 && isPolicy(body)) return new Failed(detail, 'CONTENT_POLICY_VIOLATION')
  const after = retryAfter(headers)
  const later = after === undefined ? {} : { retryAfterSeconds: after }
  if (status === 429 || status === 529) return new Unavailable(detail, { ...later, busy: true })
  // Whoever runs the service can mend that, and its caller cannot.
  if (status === 401 || status === 402 || status === 403) return new Unavailable(detail, later)
  if (status === 503) return new Unavailable(detail, { ...later, down: true })
  if (status === 408 || status >= 500)
    return new Unavailable(detail, { ...later, down: true, ...(changes(method) ? { uncertain: true } : {}) })
  return new Failed(detail)
}

/** Seconds that an answer asks for: `retry-after-ms`, or `retry-after` in seconds or as a date (RFC 9110 §10.2.3). */
export function retryAfter(headers: PlainResponse['headers']): number | undefined {
  const { 'retry-after-ms': ms, 'retry-after': stated } = headers
  const seconds =
    typeof ms === 'string' && Number(ms) > 0
      ? Number(ms) / 1000
      : /^\s*\d+(\.\d+)?\s*$/.test(stated ?? '')
        ? Number(stated)
        : (Date.parse(stated ?? '') - Date.now()) / 1000
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), 3600) : undefined
}

function changes(method: Question['method']): boolean {
  return method !== undefined && method !== 'GET'
}

function codeOf(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string' && at.code !== 'ERR_GOT_REQUEST_ERROR') return at.code
  }
  return ''
}

// Agents of our own, as Node's global ones may take a proxy from the environment. Polls keep their connection; it may be
// closed from the other side just as the next question is sent, and then nobody knows whether that was heard.
const keptAgents = { http: new HttpAgent({ keepAlive: true }), https: new HttpsAgent({ keepAlive: true }) }
const freshAgents = { http: new HttpAgent({ keepAlive: false }), https: new HttpsAgent({ keepAlive: false }) }

const connectMs = 10_000

/** Asks once; `stream` answers the bytes as they come, and `open` lets its caller look at the headers first. */
export interface AskHost {
  (question: Question): Promise<Answer>
  stream(question: Question): AsyncGenerator<Uint8Array, void>
  open(question: Question): Promise<Opened>
}

export interface Question {
  url: string
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  headers?: Record<string, string>
  json?: unknown
  body?: FormData | string | Uint8Array
  /** Statuses outside of 2xx that the kind reads itself. */
  takes?: readonly number[]
  /** The answer is the work itself: only the run's own time limit ends the wait for it. */
  patient?: boolean
  /** Of an address that is not in the settings but was named by a host: judged before anything is sent there. */
  guard?: Guard
  /** Beside the run's own. */
  signal?: AbortSignal
  /** What a refusal means, where the kind knows more of it than its status says. */
  fault?(answer: Answer): Error | undefined
}

export interface Answer {
  status: number
  headers: PlainResponse['headers']
  bytes: Buffer
  /** JSON where it is some, else text; undefined where it is neither. */
  body: unknown
}

/** An answer that has begun. Its body is read in one of the two ways, once. */
export interface Opened {
  status: number
  headers: PlainResponse['headers']
  chunks(): AsyncGenerator<Uint8Array, void>
  whole(): Promise<Answer>
}

interface AskHostOptions {
  /** Of the run. */
  signal: AbortSignal
  /** How long a host may be silent. */
  timeoutMs?: number
  maxAnswerBytes?: number
}
