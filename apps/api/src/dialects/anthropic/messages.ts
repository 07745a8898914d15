import { endpoints } from '@millrace/contract/endpoints'
import { newId } from '@millrace/database/ids'
import type { ChatReply } from '@millrace/inference/backend'
import type { ChatRequest } from '@millrace/inference/chat'
import { countMessageTokens as countTokens } from '@millrace/inference/messages/count-message-tokens'
import type { Message, MessageEvent } from '@millrace/inference/messages/message'
import { messageEvents } from '@millrace/inference/messages/message-events'
import type { MessageMeta } from '@millrace/inference/messages/message-teller'
import type { MessagesRequest } from '@millrace/inference/messages/request'
import { toChatRequest } from '@millrace/inference/messages/to-chat-request'
import { toMessage } from '@millrace/inference/messages/to-message'
import { checkAnswer, checkChunks, checkPrompt } from '../../inference/check-safety.ts'
import { asInferenceError, type Call, infer, servedBy } from '../../inference/infer.ts'
import { runChat } from '../../inference/run-chat.ts'
import { sendStream } from '../../inference/send-stream.ts'
import { answered, route } from '../../route.ts'
import { messagesError } from './errors.ts'

export const createMessage = route(endpoints.createMessage, (incoming) => {
  const body = incoming.body as MessagesRequest
  const stream = body.stream ?? false
  return infer(incoming, { surface: 'messages', slug: body.model, stream }, async (call) => {
    const request = toChatRequest(body)
    await checkPrompt(call, request.messages)
    const meta = {
      id: `msg_${newId()}`,
      model: call.slug,
      stopSequences: body.stop_sequences,
      inputTokens: roughTokens(request),
    }
    if (!stream) return wholeMessage(call, await runChat(call, request), meta)
    await sendStream(
      call,
      runChat(call, request).then((reply) => framesOf(call, reply, meta)),
      (fault) => frame(messagesError(fault, call.requestId)),
      frame({ type: 'ping' }),
    )
    return answered
  })
})

export const countMessageTokens = route(endpoints.countMessageTokens, async ({ context, caller, body }) => {
  servedBy(context, caller, body.model, 'chat')
  return countTokens(body).catch((error: unknown) => {
    throw asInferenceError(error)
  })
})

async function wholeMessage(call: Call, reply: ChatReply, meta: MessageMeta): Promise<Message> {
  if (reply.kind === 'stream') throw new Error('A host streamed what was asked for as a whole.')
  await checkAnswer(call, reply.completion)
  return toMessage(reply.completion, meta)
}

/** The frames of a stream, as they come. Whatever ends it early is told in it, as its last event. */
async function* framesOf(call: Call, reply: ChatReply, meta: MessageMeta): AsyncGenerator<string> {
  if (reply.kind === 'whole') throw new Error('A host answered as a whole what was asked for as a stream.')
  try {
    for await (const event of messageEvents(checkChunks(call, reply.chunks), meta)) {
      yield frame(event.type === 'error' ? { ...event, request_id: call.requestId } : event)
    }
  } catch (error) {
    call.note.fault ??= asInferenceError(error)
    if (!call.signal.aborted)
      call.context.log.error({ err: error, request_id: call.requestId }, 'a message was broken off')
  }
}

function frame(event: MessageEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
}

/** What a stream begins with: the host's own count comes at its end, and a tokenizer would hold the answer up. */
function roughTokens({ messages }: ChatRequest): number {
  const lengths = messages.flatMap(({ content }) =>
    typeof content === 'string' ? [content.length] : (content ?? []).map(({ text }) => text?.length ?? 0),
  )
  return Math.ceil(lengths.reduce((sum, length) => sum + length, 0) / charactersPerToken)
}

const charactersPerToken = 4
