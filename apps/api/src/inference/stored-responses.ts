import type { Caller } from '@millrace/accounts/api-keys'
import { responseOf } from '@millrace/activity/background-response'
import { removeAnswer } from '@millrace/activity/stored-answers'
import { findTurn, hasEnded, type Turn } from '@millrace/activity/turns'
import { endpoints } from '@millrace/contract/endpoints'
import { isTerminal } from '@millrace/contract/statuses'
import { givenItems } from '@millrace/inference/responses/given-items'
import { retell } from '@millrace/inference/responses/retell'
import { ApiError } from '../api-error.ts'
import { badParameter } from '../bad-parameter.ts'
import { cancelRun } from '../cancel-run.ts'
import type { Context } from '../context.ts'
import { removePrediction } from '../remove-prediction.ts'
import { answered, route } from '../route.ts'
import { waitFor } from '../wait-for.ts'
import { backgroundEvents, sendEvents } from './response-stream.ts'

export const getResponse = route(
  endpoints.getResponse,
  async ({ context, caller, params, query, response: reply }) => {
    const { row, request, response } = await ownTurn(context, caller, params.id)
    if (!query.stream) return response
    const { id, created_at: createdAt, completed_at: completed, model } = response
    const meta = { id, createdAt, completedAt: () => completed ?? createdAt, model, request, store: true }
    await sendEvents(context, reply, query.starting_after ?? -1, (over) =>
      row ? backgroundEvents(context, row, over) : retell(response, meta),
    )
    return answered
  },
)

export const listInputItems = route(endpoints.listInputItems, async ({ context, caller, params, query }) => {
  const { request, response } = await ownTurn(context, caller, params.id)
  const { limit = 20, order = 'desc', after } = query
  const items = givenItems(request, response.id)
  if (order === 'desc') items.reverse()
  const at = after === undefined ? -1 : items.findIndex(({ id }) => id === after)
  if (after !== undefined && at === -1) throw badParameter('after', 'is no id of an item of this response')
  const data = items.slice(at + 1, at + 1 + limit)
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: items.length > at + 1 + limit,
  }
})

export const deleteResponse = route(endpoints.deleteResponse, async ({ context, caller, params }) => {
  const { id, row } = await ownTurn(context, caller, params.id)
  if (row) await removePrediction(context, caller, row)
  else if (!(await removeAnswer(context.db, caller.accountId, id))) throw notFound()
  return { id: params.id, object: 'response', deleted: true }
})

export const cancelResponse = route(endpoints.cancelResponse, async ({ context, caller, params }) => {
  const { id, row, response } = await ownTurn(context, caller, params.id)
  if (!row) throw new ApiError('INVALID_REQUEST', 'Only a response with background: true can be cancelled.')
  if (hasEnded(response)) return response
  const result = await cancelRun(context, id)
  const ended = await waitFor(context, {
    accountId: caller.accountId,
    id,
    seconds: result === 'asked' ? patience : 0,
    until: ({ status }) => isTerminal(status),
  })
  return responseOf(ended ?? row)
})

/** A model that runs gets this long to stop before the answer goes out. Seconds. */
const patience = 1

async function ownTurn({ db }: Context, { accountId }: Caller, id: string): Promise<Turn> {
  const turn = await findTurn(db, accountId, id)
  if (!turn) throw notFound()
  return turn
}

function notFound(): ApiError {
  return new ApiError('ANSWER_NOT_FOUND', 'There is no such stored response.')
}
