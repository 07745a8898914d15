import { responseOf } from '@millrace/activity/background-response'
import type { endpoints } from '@millrace/contract/endpoints'
import { inferenceTag } from '@millrace/inference/inference-run'
import { limitAnswer, mostTokens } from '@millrace/inference/limit-answer'
import type { ResponseObject } from '@millrace/inference/responses/response'
import { badParameter } from '../bad-parameter.ts'
import { beginCreate, create } from '../create.ts'
import { takeMore } from '../enter-limits.ts'
import { answered, type Incoming } from '../route.ts'
import type { AskedTurn } from './asked-turn.ts'
import type { Call } from './infer.ts'
import { backgroundEvents, sendEvents } from './response-stream.ts'
import { estimateChat } from './run-chat.ts'

/** Has a response made as a prediction of the same id, and answers it as it stands, or as a stream of its events. */
export async function beginInBackground(
  incoming: Incoming<typeof endpoints.createResponse>,
  call: Call,
  { request, chat }: AskedTurn,
  stream: boolean,
): Promise<ResponseObject | typeof answered> {
  const { context, body, response } = incoming
  if (body.store === false) throw badParameter('store', 'must not be false with background')
  // What it takes in truth only its worker learns: it stays counted as it was estimated.
  const inference = mostTokens(limitAnswer(call.model, chat, 'max_output_tokens'))
  const begun = await beginCreate(incoming, body.model)
  await takeMore(begun.entry, () => call.takeTokens(() => estimateChat(chat), { isFinal: true }))
  const { row } = await create({
    ...incoming,
    body: {
      model: body.model,
      input: request,
      stream,
      tags: { ...body.tags, [inferenceTag]: 'responses' },
      webhook: body.webhook,
    },
    api: 'any',
    inference,
    waitSeconds: 0,
    begun,
  })
  // Who goes away leaves it to itself.
  call.note.whole = true
  if (!stream) return responseOf(row)
  call.note.opened = true
  await sendEvents(context, response, -1, (over) => backgroundEvents(context, row, over))
  return answered
}
