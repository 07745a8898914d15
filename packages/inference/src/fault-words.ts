import { errors } from '@millrace/contract/errors'
import { inferenceWords } from '@millrace/contract/inference-errors'
import type { InferenceFault } from './fault.ts'

/** The words for what is no `InferenceFault`: our own mistake, of which the caller learns nothing more. */
export const ownMistake = { status: 500, code: 'internal_error', message: 'Something went wrong here.' }

/** Status, code and message of what ended a stream, where no status line can be sent any more. */
export function wordsOf(fault: InferenceFault | undefined): {
  status: number
  code: string
  message: string
} {
  if (!fault) return ownMistake
  const { errorId, message } = fault
  return { status: errors[errorId].status, code: inferenceWords(errorId).code, message }
}
