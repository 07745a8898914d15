import { sanitise } from '@millrace/database/sanitise'
import { ApiError } from './api-error.ts'

/**
 * Parses a request body: one JSON object, at most 64 deep, with numbers that a double can hold; NUL and lone
 * surrogates become U+FFFD. An empty body is undefined. Throws INVALID_REQUEST.
 */
export function readJson(
  raw: Buffer | undefined,
  contentType = 'application/json',
): Record<string, unknown> | undefined {
  if (raw === undefined || raw.length === 0) return undefined
  const value = parse(raw, contentType)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ApiError('INVALID_REQUEST', 'The body must be a JSON object.')
  }
  return safeJson(value) as Record<string, unknown>
}

/** What JSON.parse made of a body, or of a line with a body in it, as it can be stored. Throws INVALID_REQUEST. */
export function safeJson(value: unknown, depth = maxDepth): unknown {
  checkDepth(value, depth)
  return sanitise(value)
}

function parse(raw: Buffer, contentType: string): unknown {
  try {
    return JSON.parse(raw.toString('utf8'))
  } catch (error) {
    const isJson = /json/i.test(contentType)
    const reason = error instanceof Error ? error.message : 'It could not be parsed'
    throw new ApiError('INVALID_REQUEST', 'The body is not valid JSON.', {
      details: isJson
        ? `${reason}.`
        : `It was sent as ${contentType.slice(0, 100)}. Send JSON with content-type: application/json; files go to POST /v1/files.`,
    })
  }
}

function checkDepth(value: unknown, left: number): void {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new ApiError('INVALID_REQUEST', 'The body has a number that is too large.')
  }
  if (typeof value !== 'object' || value === null) return
  if (left === 0) throw new ApiError('INVALID_REQUEST', `The body is more than ${maxDepth} levels deep.`)
  for (const item of Object.values(value)) checkDepth(item, left - 1)
}

/** Levels that a body may have. */
export const maxDepth = 64
