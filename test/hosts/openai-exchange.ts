import type { ServerResponse } from 'node:http'

/** Answers JSON, as every route but the two for bytes does. */
export function reply(response: ServerResponse, body: unknown, status = 200, headers = {}): ServerResponse {
  return response
    .writeHead(status, { 'content-type': 'application/json', ...headers })
    .end(JSON.stringify(body))
}

/** Answers an error in OpenAI's envelope. */
export function refuse(
  response: ServerResponse,
  status: number,
  error: HostError,
  headers = {},
): ServerResponse {
  return reply(response, { error }, status, headers)
}

/** What both kinds of routes refuse, told by `do`. Answers whether it did. */
export function refuses({ values, response }: Exchange): boolean {
  const message = saidIn(values) || 'The model gave up'
  const bad = { type: 'invalid_request_error', code: null, param: null }
  switch (values.do) {
    case 'busy': {
      const error = {
        message: 'Rate limit reached',
        type: 'requests',
        code: 'rate_limit_exceeded',
        param: null,
      }
      refuse(response, 429, error, { 'retry-after-ms': '7000', 'retry-after': '8' })
      return true
    }
    case 'unpaid': {
      const error = { message: 'You exceeded your current quota', type: 'insufficient_quota', param: null }
      refuse(response, 429, { ...error, code: 'insufficient_quota' }, { 'retry-after': '1' })
      return true
    }
    case 'down':
      refuse(response, 503, { ...bad, message: 'The engine is overloaded', type: 'server_error' })
      return true
    case 'broken':
      refuse(response, 500, {
        ...bad,
        message: `The server had an error with ${apiKey}`,
        type: 'server_error',
      })
      return true
    case 'no-model':
      refuse(response, 404, { ...bad, message: 'The model does not exist', code: 'model_not_found' })
      return true
    case 'refuse-input':
      refuse(response, 400, {
        ...bad,
        message: "Invalid value for 'text'",
        code: 'invalid_value',
        param: 'text',
      })
      return true
    default:
      if (values.do !== 'fail' && values.do !== 'policy') return false
      refuse(response, 400, values.do === 'fail' ? { ...bad, message } : { ...bad, ...moderated })
      return true
  }
}

/** The words of a request, whatever its route calls them. */
export function saidIn({ text, input, prompt }: Record<string, unknown>): string {
  return [text, input, prompt].find((one) => typeof one === 'string') ?? ''
}

/** What the host says of a prompt that it will not serve. */
export const moderated = {
  message: 'Your request was rejected by the safety system',
  type: 'image_generation_user_error',
  code: 'moderation_blocked',
}

/** One red pixel. */
export const picture = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC',
  'base64',
)

/** The key that the host takes. */
export const apiKey = 'sk-fake-4b6f2d1c'

/** The host's own memory. */
export interface FakeHost {
  base: string
  /** Resolves when work that hangs may go on. */
  released: Promise<void>
  created: number
  dropped: number
  asked: Asked[]
}

/** One request, and the way to answer it. */
export interface Exchange extends HostFields {
  host: FakeHost
  method: string
  path: string
  query: URLSearchParams
  response: ServerResponse
}

export interface Asked extends HostFields {
  method: string
  path: string
}

export interface HostFields {
  values: Record<string, unknown>
  files: Record<string, { name: string; type: string; size: number }>
}

export interface HostError {
  message: string
  type: string
  code: string | null
  param: string | null
}
