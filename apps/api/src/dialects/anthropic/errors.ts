import { errors } from '@millrace/contract/errors'
import type { MessagesErrorBody } from '@millrace/contract/messages'
import { messagesError as inAnthropicWords } from '@millrace/inference/messages/error-shape'
import type { ApiError } from '../../api-error.ts'

/** The error envelope of the Messages protocol. */
export function messagesError({ id, message }: ApiError, requestId: string): MessagesErrorBody {
  const { error } = inAnthropicWords(errors[id].status, message)
  return { type: 'error', error, request_id: requestId }
}
