import { errors } from '@millrace/contract/errors'
import { type InferenceErrorBody, inferenceWords } from '@millrace/contract/inference-errors'
import type { ApiError } from './api-error.ts'

/** The error envelope of inference. */
export function inferenceError({ id, message, options }: ApiError, requestId: string): InferenceErrorBody {
  const { type, code, category } = inferenceWords(id)
  const param = options.fields?.[0]?.path ?? (id === 'MODEL_NOT_FOUND' ? 'model' : null)
  return {
    error: {
      message,
      type,
      code,
      error_id: id,
      status: errors[id].status,
      param: param === '' ? null : param,
      request_id: requestId,
      details: { category, ...(options.jobId === undefined ? {} : { prediction_id: options.jobId }) },
    },
  }
}
