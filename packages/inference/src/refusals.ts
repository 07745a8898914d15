import type { IncomingHttpHeaders } from 'node:http'
import { type FaultDetails, InferenceFault } from './fault.ts'
import { type HostError, readHostError } from './host-error.ts'

/** What an answer outside of 2xx means: whose fault it is. `scrub` goes over all words that a caller sees. */
export function readRefusal(
  { status, headers, text }: Refusal,
  scrub: (words: string) => string,
): InferenceFault {
  return faultOf(status, readHostError(parsed(text)), scrub, retryAfter(headers))
}

/** What an error means that came with a status of 200: as the whole answer, or in its stream. */
export function readTrouble(body: unknown, scrub: (words: string) => string): InferenceFault {
  const error = readHostError(body)
  const named = error.codes.map((code) => statusOfCode[code]).find((status) => status !== undefined)
  return faultOf(named ?? error.status ?? 0, error, scrub, undefined)
}

function faultOf(
  status: number,
  error: HostError,
  scrub: (words: string) => string,
  retryAfterSeconds: number | undefined,
): InferenceFault {
  const words = scrub(error.message)
  const about: FaultDetails = {
    elsewhere: true,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    cause: new Error(`The host answered ${status ? `HTTP ${status}` : 'an error'}${words && `: ${words}`}`),
  }
  const coded = (codes: ReadonlySet<string>) => error.codes.some((code) => codes.has(code))
  if (coded(policyCodes) || status === 451) {
    return new InferenceFault('CONTENT_POLICY_VIOLATION', words || 'The model does not take this content.')
  }
  // Nobody has paid there, or the settings name a model or a route that is not there: the operator's to mend.
  if (
    coded(unpaidCodes) ||
    coded(misplacedCodes) ||
    (error.param === 'model' && requestStatuses.has(status))
  ) {
    return new InferenceFault('INFERENCE_ERROR', 'The model is not available at its host.', about)
  }
  if (requestStatuses.has(status)) return requestFault(error, words)
  if (busyStatuses.has(status)) {
    const message = 'The model has no room for another request now.'
    return new InferenceFault('SERVICE_UNAVAILABLE', message, { ...about, busy: true })
  }
  if (status === 408 || status === 504) {
    return new InferenceFault('INFERENCE_TIMEOUT', 'The model did not answer in time.', {
      ...about,
      down: true,
    })
  }
  if (status >= 500)
    return new InferenceFault('INFERENCE_ERROR', 'The model failed.', { ...about, down: true })
  return status === 0
    ? new InferenceFault('INFERENCE_ERROR', 'The model failed.', about)
    : new InferenceFault('INFERENCE_ERROR', 'The model is not available at its host.', about)
}

/** The caller's, who may mend it: told in the host's words. */
function requestFault({ param }: HostError, words: string): InferenceFault {
  return param === undefined
    ? new InferenceFault('INVALID_REQUEST', words || 'The model does not take this request.')
    : new InferenceFault('INVALID_PARAMETER', words || `The model does not take this ${param}.`, { param })
}

/** Seconds that a host asks for: `retry-after-ms`, or `retry-after` in seconds or as a date (RFC 9110 §10.2.3). */
function retryAfter(headers: IncomingHttpHeaders): number | undefined {
  const { 'retry-after-ms': ms, 'retry-after': stated = '' } = headers
  const seconds =
    typeof ms === 'string' && Number(ms) > 0
      ? Number(ms) / 1000
      : /^\s*\d+(\.\d+)?\s*$/.test(stated)
        ? Number(stated)
        : (Date.parse(stated) - Date.now()) / 1000
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), 3600) : undefined
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const requestStatuses = new Set([400, 413, 422])
const busyStatuses = new Set([409, 425, 429, 529])

const policyCodes = new Set([
  'content_policy_violation',
  'content_policy',
  'content_filter',
  'contentFilter',
  'moderation_blocked',
  'ResponsibleAIPolicyViolation',
])
const unpaidCodes = new Set(['insufficient_quota', 'billing_hard_limit_reached', 'billing_not_active'])
const misplacedCodes = new Set(['model_not_found', 'DeploymentNotFound'])

/** Errors without a status are told by their words. */
const statusOfCode: Readonly<Record<string, number | undefined>> = {
  rate_limit_exceeded: 429,
  rate_limit_error: 429,
  overloaded_error: 529,
  slow_down: 429,
  invalid_request_error: 400,
  BadRequestError: 400,
  context_length_exceeded: 400,
  authentication_error: 401,
  permission_error: 403,
  server_error: 500,
  internal_error: 500,
  internal_server_error: 500,
  InternalServerError: 500,
  timeout: 504,
}

interface Refusal {
  status: number
  headers: IncomingHttpHeaders
  text: string
}
