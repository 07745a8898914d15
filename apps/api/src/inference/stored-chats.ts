import type { Caller } from '@millrace/accounts/api-keys'
import { findAnswer, removeAnswer, type StoredAnswer } from '@millrace/activity/stored-answers'
import { endpoints } from '@millrace/contract/endpoints'
import { ApiError } from '../api-error.ts'
import type { Context } from '../context.ts'
import { route } from '../route.ts'

export const getChatCompletion = route(endpoints.getChatCompletion, async ({ context, caller, params }) => {
  const { answer } = await ownChat(context, caller, params.id)
  return answer
})

export const deleteChatCompletion = route(
  endpoints.deleteChatCompletion,
  async ({ context, caller, params }) => {
    const { id } = await ownChat(context, caller, params.id)
    if (!(await removeAnswer(context.db, caller.accountId, id))) throw notFound()
    return { id: params.id, object: 'chat.completion.deleted', deleted: true }
  },
)

/** Malformed, unknown and foreign are the same. */
async function ownChat({ db }: Context, { accountId }: Caller, publicId: string): Promise<StoredAnswer> {
  const [, id] = /^chatcmpl-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(publicId) ?? []
  const found = id === undefined ? undefined : await findAnswer(db, accountId, id)
  if (found?.surface !== 'chat') throw notFound()
  return found
}

function notFound(): ApiError {
  return new ApiError('ANSWER_NOT_FOUND', 'There is no such stored chat completion.')
}
