import { type BatchRequest, batchRequest } from '@millrace/contract/batch'
import { sanitise } from '@millrace/database/sanitise'
import type { BatchError } from '@millrace/database/tables'
import { ApiError } from '../api-error.ts'
import { checkShape } from '../check-shape.ts'

/** What a line asks for, or what is wrong with it. `line` counts from 1 in what it says. */
export function checkLine(
  text: string | undefined,
  line: number,
): { request: BatchRequest } | { fault: BatchError } {
  const fault = (code: string, message: string, param: string | null = null) => ({
    fault: { code, message, param, line },
  })
  if (text === undefined) return fault('line_too_long', 'The line is longer than a request may be.')
  try {
    const given: unknown = JSON.parse(text)
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
      return fault('invalid_json_line', 'The line is no JSON object.')
    }
    return { request: checkShape(batchRequest, sanitise(given), {}) as BatchRequest }
  } catch (error) {
    if (error instanceof SyntaxError) return fault('invalid_json_line', 'The line is no JSON.')
    if (!(error instanceof ApiError)) throw error
    return fault('invalid_request', error.message, error.options.fields?.[0]?.path ?? null)
  }
}
