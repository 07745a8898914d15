import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import got, { type PlainResponse, type Request } from 'got'
import { Failed, Unavailable } from './faults.ts'

/**
 * Asks hosts over HTTP for one run. What a host's silence, its connection or its status says of it is read the same way
 * for every kind: it throws Unavailable or Failed, unless the kind `takes` that status itself. An abort throws the
 * signal's reason. Nothing is repeated here: whether to try again is for the run to say.
 */
export function createAskHost({ signal, timeoutMs = 60_000 }: AskHostOptions): AskHost {
  async function open(question: Question): Promise<Opened> {
    const own = AbortSignal.any([signal, ...(question.signal ? [question.signal] : [])])
    own.throwIfAborted()
    const request = got.stream(question.url, {
      method: question.method ?? 'GET',
      headers: { 'user-agent': 'Millrace', accept: 'application/json', ...question.headers },
      ...(question.json === undefined ? {} : { json: question.json }),
      ...(question.body === undefined ? {} : { body: question.body }),
      // A stream of got's that may have a body waits for one.
      ...(hasNoBody(question) && changes(question.method) ? { body: '' } : {}),
      agent: directAgents,
      followRedirect: question.method === undefined || question.method === 'GET',
      throwHttpErrors: false,
      retry: { limit: 0 },
      timeout: {
        lookup: connectMs,
        connect: connectMs,
        secureConnect: connectMs,
        ...(question.patient ? {} : { response: timeoutMs }),
      },
      signal: own,
    })
    const response = await answered(request).catch((error: unknown) => {
      own.throwIfAborted()
      throw unreachable(error, question)
    })
    return { request, response, signal: own }
  }

  async function ask(question: Question): Promise<Answer> {
    const { request, response, signal: own } = await open(question)
    const bytes = await gather(request).catch((error: unknown) => {
      request.destroy()
      own.throwIfAborted()
      throw error instanceof Unavailable || error instanceof Failed ? error : unreachable(error, question)
    })
    const answer = {
      status: response.statusCode,
      headers: response.headers,
      bytes,
      body: parsed(bytes, response),
    }
    if (!isTaken(question, answer.status)) throw faultOf(answer, question)
    return answer
  }

  async function* stream(question: Question): AsyncGenerator<Uint8Array, void> {
    const { request, response, signal: own } = await open(question)
    try {
      if (!isTaken(question, response.statusCode)) {
        const bytes = await gather(request)
        throw faultOf(
          { status: response.statusCode, headers: response.headers, bytes, body: parsed(bytes, response) },
          question,
        )
      }
      for await (const chunk of request) yield chunk
    } catch (error) {
      own.throwIfAborted()
      throw error instanceof Unavailable || error instanceof Failed ? error : unreachable(error, question)
    } finally {
      request.destroy()
    }
  }

  return Object.assign(ask, { stream })
}

function answered(request: Request): Promise<PlainResponse> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve).once('error', reject)
    // An error after the response is for whoever reads the body.
    request.on('error', () => undefined)
  })
}

async function gather(request: Request): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > maxAnswerBytes)
      throw new Failed(`The host's answer is larger than ${maxAnswerBytes >> 20} MB.`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function parsed(bytes: Buffer, { headers }: PlainResponse): unknown {
  const type = headers['content-type'] ?? ''
  if (!/json|text|xml/.test(type) && type !== '') return undefined
  const text = bytes.toString('utf8')
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function isTaken({ takes = [] }: Question, status: number): boolean {
  return (status >= 200 && status < 300) || takes.includes(status)
}

/** A connection that never came about did nothing; one that broke may have brought the question there. */
function unreachable(error: unknown, { method }: Question): Unavailable {
  const code = codeOf(error)
  const never = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)$/.test(code)
  const reason = code === 'ETIMEDOUT' ? 'The host did not answer in time' : 'The host could not be reached'
  return new Unavailable(
    `${reason}${code ? ` (${code})` : ''}.`,
    { down: true, uncertain: !never && changes(method) },
    error,
  )
}

/** What a status that nobody takes says of the host, or of what it was sent. */
export function faultOf({ status, headers, body }: Answer, { method }: Pick<Question, 'method'> = {}): Error {
  const said = textIn(body)
  const detail = `The host answered HTTP ${status}${said ? `: ${said}` : ''}`
  const after = retryAfter(headers)
  const later = after === undefined ? {} : { retryAfterSeconds: after }
  if (status === 429) return new Unavailable(detail, { ...later, busy: true })
  // Whoever runs the service can mend that, and its caller cannot.
  if (status === 401 || status === 402 || status === 403) return new Unavailable(detail, later)
  if (status === 503) return new Unavailable(detail, { ...later, down: true })
  if (status === 408 || status >= 500)
    return new Unavailable(detail, { ...later, down: true, uncertain: changes(method) })
  return new Failed(detail)
}

/** Seconds that an answer asks for: `retry-after-ms`, or `retry-after` in seconds or as a date (RFC 9110 §10.2.3). */
export function retryAfter(headers: PlainResponse['headers']): number | undefined {
  const ms = Number(headers['retry-after-ms'])
  if (ms > 0) return ms / 1000
  const stated = headers['retry-after']
  if (stated === undefined) return undefined
  const seconds = Number.isFinite(Number(stated)) ? Number(stated) : (Date.parse(stated) - Date.now()) / 1000
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), 3600) : undefined
}

/** What an error body says to people, whichever of the usual shapes it has; at most 500 characters. */
export function textIn(body: unknown): string {
  if (typeof body === 'string') return body.trim().slice(0, 500)
  if (Array.isArray(body)) return body.map(textIn).filter(Boolean).join('; ').slice(0, 500)
  if (typeof body !== 'object' || body === null) return ''
  const { error, detail, message, msg, title } = body as Record<string, unknown>
  const said = [message, msg, detail, error, title].map(textIn).find((text) => text !== '')
  return said ?? ''
}

function changes(method: Question['method']): boolean {
  return method !== undefined && method !== 'GET'
}

function hasNoBody({ json, body }: Question): boolean {
  return json === undefined && body === undefined
}

function codeOf(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string' && at.code !== 'ERR_GOT_REQUEST_ERROR') return at.code
  }
  return ''
}

// Agents of our own, as Node's global ones may take a proxy from the environment; kept alive, since hosts are polled.
const directAgents = {
  http: new HttpAgent({ keepAlive: true }),
  https: new HttpsAgent({ keepAlive: true }),
}

const connectMs = 10_000

/** Pictures may come inline, as base64. */
const maxAnswerBytes = 256 * 1024 * 1024

/** Asks once; `stream` answers the bytes as they come. */
export interface AskHost {
  (question: Question): Promise<Answer>
  stream(question: Question): AsyncGenerator<Uint8Array, void>
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
  /** Beside the run's own. */
  signal?: AbortSignal
}

export interface Answer {
  status: number
  headers: PlainResponse['headers']
  bytes: Buffer
  /** JSON where it is some, else text; undefined where it is neither. */
  body: unknown
}

interface Opened {
  request: Request
  response: PlainResponse
  signal: AbortSignal
}

interface AskHostOptions {
  /** Of the run. */
  signal: AbortSignal
  /** How long an answer may take to begin. */
  timeoutMs?: number
}
