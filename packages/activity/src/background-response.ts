import { type ErrorId, errors } from '@millrace/contract/errors'
import { inferenceWords } from '@millrace/contract/inference-errors'
import { toTypeId } from '@millrace/database/ids'
import { blankResponse, type ResponseMeta } from '@millrace/inference/responses/blank-response'
import type { ResponsesRequest } from '@millrace/inference/responses/request'
import type { ResponseObject, ResponseStatus } from '@millrace/inference/responses/response'
import { outputText } from '@millrace/inference/responses/response-teller'
import type { PredictionRow } from '@millrace/lifecycle/present'

/** A prediction that makes a response, in the words of that. */
export function responseOf(row: PredictionRow): ResponseObject {
  const blank = blankResponse(metaOf(row))
  switch (row.status) {
    case 'pending':
      return { ...blank, status: 'queued' }
    case 'starting':
    case 'processing':
      return blank
    case 'cancelled':
      return { ...blank, status: 'cancelled' }
    case 'failed':
      return { ...blank, status: 'failed', error: errorOf(row) }
    case 'succeeded':
      return { ...blank, ...madeOf(row) }
    default:
      return row.status satisfies never
  }
}

/** What such a response is made with. */
export function metaOf({
  id,
  model,
  input,
  created_at: created,
  completed_at: completed,
}: PredictionRow): ResponseMeta {
  return {
    id: toTypeId('resp', id),
    createdAt: seconds(created),
    completedAt: () => seconds(completed ?? created),
    model,
    request: input as ResponsesRequest,
    store: true,
  }
}

function madeOf({ output, completed_at: completed }: PredictionRow): Partial<ResponseObject> {
  const made = output as MadeResponse
  return {
    ...made,
    output_text: outputText(made.output),
    completed_at: made.status === 'completed' && completed ? seconds(completed) : null,
  }
}

function errorOf({ error, error_id: id }: PredictionRow): ResponseObject['error'] {
  const known = id !== null && Object.hasOwn(errors, id) ? (id as ErrorId) : 'MODEL_ERROR'
  return { code: inferenceWords(known).code, message: error ?? errors[known].message }
}

function seconds(moment: Date): number {
  return Math.floor(moment.getTime() / 1000)
}

/** The output of such a prediction. */
export interface MadeResponse extends Pick<ResponseObject, 'output' | 'usage' | 'incomplete_details'> {
  status: Extract<ResponseStatus, 'completed' | 'incomplete'>
}
