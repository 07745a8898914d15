import type { ChatChunk } from '../chat.ts'
import { InferenceFault } from '../fault.ts'
import { wordsOf } from '../fault-words.ts'
import type { ResponseMeta } from './blank-response.ts'
import type { ResponseEvent } from './event.ts'
import { ResponseTeller } from './response-teller.ts'

/**
 * The chunks of an answer as the events of a response. The same chunks and meta give the same events, so that a stream
 * can be told again from any number on. It always ends with a terminal event: a fault of the model's host ends it with
 * `response.failed`, and so does any other error, which is then thrown as well.
 */
export async function* responseEvents(
  chunks: AsyncGenerator<ChatChunk, void>,
  meta: ResponseMeta,
): AsyncGenerator<ResponseEvent, void> {
  const teller = new ResponseTeller(meta)
  try {
    yield* teller.begin()
    // No `yield*`, which would wait several times for what is there.
    for await (const chunk of chunks) for (const event of teller.read(chunk)) yield event
  } catch (error) {
    const fault = error instanceof InferenceFault ? error : undefined
    const { code, message } = wordsOf(fault)
    yield teller.fail({ code, message })
    if (!fault) throw error
    return
  } finally {
    // The loop does so by itself, but a client may go before it begins.
    await chunks.return()
  }
  yield* teller.end()
}
