import type { ChatChunk } from '../chat.ts'
import { InferenceFault } from '../fault.ts'
import { wordsOf } from '../fault-words.ts'
import { messagesError } from './error-shape.ts'
import type { MessageEvent } from './message.ts'
import { type MessageMeta, MessageTeller } from './message-teller.ts'

/**
 * The chunks of an answer as the events of a message. It always ends with `message_stop` or, where the model's host
 * fails, with `error`; any other error ends it with `error` too, and is then thrown.
 */
export async function* messageEvents(
  chunks: AsyncGenerator<ChatChunk, void>,
  meta: MessageMeta,
): AsyncGenerator<MessageEvent, void> {
  const teller = new MessageTeller(meta)
  try {
    yield* teller.begin()
    // No `yield*`, which would wait several times for what is there.
    for await (const chunk of chunks) for (const event of teller.read(chunk)) yield event
  } catch (error) {
    const fault = error instanceof InferenceFault ? error : undefined
    const { status, message } = wordsOf(fault)
    yield messagesError(status, message)
    if (!fault) throw error
    return
  } finally {
    // The loop does so by itself, but a client may go before it begins.
    await chunks.return()
  }
  yield* teller.end()
}
