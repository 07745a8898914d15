import { isRecord } from '@millrace/models/is-record'

/** The error in a body, in any of the shapes that compatible hosts give it; `message` is empty where it says nothing. */
export function readHostError(body: unknown): HostError {
  const outer = isRecord(body) ? body : {}
  const inner = isRecord(outer.error) ? outer.error : outer
  const { code, type, param, error_type, innererror } = inner
  const deeper = isRecord(innererror) ? innererror.code : undefined
  return {
    codes: [code, type, error_type, deeper].filter((one) => typeof one === 'string'),
    status: [code, inner.status, inner.status_code, outer.status, outer.code].map(statusIn).find(Boolean),
    param: typeof param === 'string' && param !== '' ? param : fieldIn(inner.detail ?? outer.detail),
    message: typeof body === 'string' ? pageTitle(body) : messageIn(inner, outer),
  }
}

function messageIn(inner: Fields, outer: Fields): string {
  const found = [inner.message, outer.error, inner.msg, inner.detail, outer.message, outer.detail]
    .map(wordsOf)
    .find(Boolean)
  return found ?? ''
}

/** FastAPI, which many compatible hosts are made with, says `{detail: [{loc: ["body", "size"], msg}]}`. */
function wordsOf(part: unknown): string {
  if (typeof part === 'string') return part.trim()
  if (!Array.isArray(part)) return ''
  const words = part
    .slice(0, 10)
    .map((one) => (isRecord(one) ? wordsOf(one.msg ?? one.message) : wordsOf(one)))
  return words.filter(Boolean).join('; ')
}

function fieldIn(detail: unknown): string | undefined {
  const first: unknown = Array.isArray(detail) ? detail[0] : undefined
  const loc = isRecord(first) && Array.isArray(first.loc) ? first.loc.filter((part) => part !== 'body') : []
  return loc.length > 0 ? loc.join('.') : undefined
}

/** Some say the status in the body alone. */
function statusIn(value: unknown): number | undefined {
  const status = typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value
  return typeof status === 'number' && status >= 400 && status < 600 ? status : undefined
}

/** Proxies answer with pages: their title says what they say. */
function pageTitle(text: string): string {
  if (!/^\s*</.test(text)) return text.trim()
  return /<title[^>]*>([^<]*)/i.exec(text.slice(0, 4000))?.[1]?.trim() ?? ''
}

type Fields = Record<string, unknown>

/** `{message, type, code, param}` as far as a host states them. */
export interface HostError {
  /** Its code and its type. */
  codes: string[]
  /** The HTTP status that the body names. */
  status: number | undefined
  /** The field that it is about. */
  param: string | undefined
  message: string
}
