import { isRecord } from '@millrace/models/is-record'
import type { SettingsOf } from '@millrace/models/provider-settings'
import { type Answer, faultOf, retryAfter } from '../ask-host.ts'
import { Failed, Unavailable } from '../faults.ts'
import { textIn } from '../host-words.ts'

/** What an answer outside of 2xx means: whose fault it is. */
export function refusalOf(answer: Answer, settings: SettingsOf<'openai'>): Error {
  const { status, headers } = answer
  // Its words are about the key, and quote parts of it.
  if (status === 401) return new Unavailable('The host refused the API key (HTTP 401).')
  const error = hostErrorIn(answer.body)
  const known = byCode(error)
  if (known) return known
  if (isMisplaced(status, error, settings)) {
    return new Unavailable(`The host does not serve this model (HTTP ${status})${after(error.message)}`)
  }
  if (status === 409) {
    return new Unavailable(`The host answered HTTP 409${after(error.message)}`, {
      busy: true,
      ...wait(headers),
    })
  }
  if ((status === 400 || status === 422) && error.param !== undefined) {
    return new Failed(`The host refused "${error.param}"${after(error.message)}`)
  }
  return faultOf({ ...answer, body: error.message }, { method: 'POST' })
}

/**
 * What an error means that came without a status: in a stream, or as the end of a job. `uncertain` says whether the
 * host may have done some of the work, which is paid for.
 */
export function troubleOf(error: HostError, { uncertain }: { uncertain: boolean }): Error {
  const known = byCode(error)
  if (known) return known
  const message = error.message || 'The host says that it failed, and not why.'
  if (error.codes.some((code) => crowded.has(code))) return new Unavailable(message, { busy: true })
  if (error.codes.some((code) => broken.has(code))) {
    return new Unavailable(message, uncertain ? { uncertain } : {})
  }
  return new Failed(message)
}

/** The error of a body, in any of the shapes that compatible hosts give it. */
export function hostErrorIn(body: unknown): HostError {
  const inner = isRecord(body) && isRecord(body.error) ? body.error : body
  const { code, type, param, detail } = isRecord(inner) ? inner : {}
  return {
    codes: [code, type].filter((one) => typeof one === 'string'),
    param: typeof param === 'string' && param !== '' ? param : fieldIn(detail),
    message: textIn(body),
  }
}

function byCode({ codes, message }: HostError): Error | undefined {
  if (codes.some((code) => policy.has(code))) {
    return new Failed(message || 'The host refused it by its content policy.', 'CONTENT_POLICY_VIOLATION')
  }
  // More runs would find it so, and somebody has to pay first.
  if (codes.some((code) => unpaid.has(code))) {
    return new Unavailable('The account at the host has no credit left.', { retryAfterSeconds: 3600 })
  }
  return undefined
}

/** The settings name a model, an address or a route that is not there: the operator's fault and not the caller's. */
function isMisplaced(status: number, { codes, param }: HostError, { model }: SettingsOf<'openai'>): boolean {
  return (
    codes.some((code) => misplaced.has(code)) ||
    (param === 'model' && model !== undefined && (status === 400 || status === 422)) ||
    status === 404 ||
    status === 405 ||
    (status >= 300 && status < 400)
  )
}

/** FastAPI, which many compatible hosts are made with, says `{detail: [{loc: ["body", "size"], msg}]}`. */
function fieldIn(detail: unknown): string | undefined {
  const first: unknown = Array.isArray(detail) ? detail[0] : undefined
  const loc = isRecord(first) && Array.isArray(first.loc) ? first.loc.filter((part) => part !== 'body') : []
  return loc.length > 0 ? loc.join('.') : undefined
}

function after(message: string): string {
  return message ? `: ${message}` : '.'
}

function wait(headers: Answer['headers']): { retryAfterSeconds?: number } {
  const seconds = retryAfter(headers)
  return seconds === undefined ? {} : { retryAfterSeconds: seconds }
}

const policy = new Set([
  'content_policy_violation',
  'moderation_blocked',
  'content_filter',
  'contentFilter',
  'sentinel_block',
])
const unpaid = new Set(['insufficient_quota', 'billing_hard_limit_reached', 'billing_not_active'])
const misplaced = new Set(['model_not_found', 'DeploymentNotFound'])
const crowded = new Set(['rate_limit_exceeded', 'rate_limit_error', 'slow_down'])
const broken = new Set(['server_error', 'internal_error', 'internal_server_error', 'InternalServerError'])

/** `{message, type, code, param}` as far as a host states them. */
export interface HostError {
  /** Its code and its type. */
  codes: string[]
  /** The field that it is about. */
  param: string | undefined
  message: string
}
