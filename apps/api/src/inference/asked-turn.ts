import { findItems, itemsUntil } from '@millrace/activity/turns'
import type { CreateResponse } from '@millrace/contract/responses'
import { fromTypeId } from '@millrace/database/ids'
import type { ChatRequest } from '@millrace/inference/chat'
import { withoutReferences } from '@millrace/inference/responses/given-items'
import { referredIds } from '@millrace/inference/responses/input-items'
import type { ResponseItem, ResponsesRequest } from '@millrace/inference/responses/request'
import { toChatRequest } from '@millrace/inference/responses/to-chat-request'
import { ApiError } from '../api-error.ts'
import { badParameter } from '../bad-parameter.ts'
import type { Call } from './infer.ts'

/** A turn with all that was said before it. Throws INVALID_REQUEST where that is not stored, and INVALID_PARAMETER. */
export async function askedTurn(call: Call, body: CreateResponse): Promise<AskedTurn> {
  const { tags: _, webhook: __, stream: ___, ...said } = body
  const request = said as ResponsesRequest
  refuseTooLong(call, request)
  const stored = await referredItems(call, request)
  const previous = await itemsBefore(call, request)
  const chat = toChatRequest({ ...request, model: call.model.namespace }, previous, stored)
  return {
    request: withoutReferences(request, stored),
    chat,
    previousId: fromTypeId('resp', request.previous_response_id ?? ''),
  }
}

function refuseTooLong({ model }: Call, { max_output_tokens: asked }: ResponsesRequest): void {
  const most = model.max_output_tokens
  if (most !== undefined && asked != null && asked > most)
    throw badParameter('max_output_tokens', `must be at most ${most} for this model`)
}

async function itemsBefore(
  { context, caller }: Call,
  { previous_response_id: id }: ResponsesRequest,
): Promise<ResponseItem[]> {
  if (id === undefined || id === null) return []
  const items = await itemsUntil(context.db, caller.accountId, id)
  if (items) return items
  const message = 'names a response that is not stored, or has not ended, or goes on from one that is gone'
  throw new ApiError('INVALID_REQUEST', `previous_response_id ${message}.`, {
    fields: [{ path: 'previous_response_id', message }],
  })
}

async function referredItems({ context, caller }: Call, request: ResponsesRequest) {
  const ids = [...new Set(referredIds(request))]
  if (ids.length > mostReferences)
    throw badParameter('input', `must refer to at most ${mostReferences} stored items`)
  return findItems(context.db, caller.accountId, ids)
}

const mostReferences = 100

/** What is asked, in both words. */
export interface AskedTurn {
  /** As it is kept, with the items themselves in place of references. */
  request: ResponsesRequest
  /** The whole conversation. */
  chat: ChatRequest
  /** The uuid of the response that it goes on from. */
  previousId: string | undefined
}
