import { type ErrorId, errors } from '@millrace/contract/errors'
import type { Prediction } from '@millrace/contract/prediction'
import { ApiError } from './api-error.ts'

/**
 * The error that an ended prediction is for a request that waits for its result. Its client must not send the request
 * again by itself: that would be one more run.
 */
export function failureOf({ id, status, error, error_id }: Prediction): ApiError {
  const errorId = status === 'cancelled' ? 'CANCELLED' : error_id
  return new ApiError(isErrorId(errorId) ? errorId : 'MODEL_ERROR', error ?? undefined, {
    jobId: id,
    headers: { 'x-should-retry': 'false' },
  })
}

function isErrorId(id: string | undefined): id is ErrorId {
  return id !== undefined && Object.hasOwn(errors, id)
}
