import { type BatchRequest, batchRequest } from '@millrace/contract/batch'
import { createPrediction } from '@millrace/contract/create-prediction'
import type { BatchError } from '@millrace/database/tables'
import { ApiError } from '../api-error.ts'
import { checkShape } from '../check-shape.ts'
import { type IgnoredField, ignoredFields } from '../ignored-fields.ts'
import { maxDepth, safeJson } from '../read-json.ts'

/** What a line asks for and which fields of it are ignored, or what is wrong with it. `line` counts from 1. */
export function checkLine(
  text: string | undefined,
  line: number,
): { request: BatchRequest; ignored: BatchError[] } | { fault: BatchError } {
  const fault = (code: string, message: string, param: string | null = null) => ({
    fault: { code, message, param, line },
  })
  if (text === undefined) return fault('line_too_long', 'The line is longer than a request may be.')
  try {
    const given: unknown = JSON.parse(text)
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
      return fault('invalid_json_line', 'The line is no JSON object.')
    }
    const known = ignoredFields(Object.keys(given), Object.keys(batchRequest.shape))
    const names = known.map(({ name }) => name)
    const request = checkShape(batchRequest, safeJson(given, maxDepth + 1), {}, names) as BatchRequest
    return { request, ignored: [...known, ...ignoredOf(request)].map((field) => noteOf(field, line)) }
  } catch (error) {
    if (error instanceof SyntaxError) return fault('invalid_json_line', 'The line is no JSON.')
    if (!(error instanceof ApiError)) throw error
    return fault('invalid_request', error.message, error.options.fields?.[0]?.path ?? null)
  }
}

/** The names in the body of a line that are none of ours. Inference passes on what it does not know. */
export function ignoredOf({ url, body }: BatchRequest): IgnoredField[] {
  if (url !== '/v1/predictions') return []
  return ignoredFields(Object.keys(body), Object.keys(createPrediction.shape))
}

function noteOf({ name, meant }: IgnoredField, line: number): BatchError {
  const shown = name.slice(0, 64)
  const hint = meant === undefined ? '.' : `; did you mean "${meant}"?`
  const message = `"${shown}" is no field of a request and is ignored${hint}`
  return { code: 'ignored_field', message, param: shown, line }
}
