import type { ChatChunk } from './chat.ts'

/** Waits for the first chunk, and answers all of them, that one first. Undefined where there is none. */
export async function beginStream(
  chunks: AsyncGenerator<ChatChunk, void>,
): Promise<AsyncGenerator<ChatChunk, void> | undefined> {
  const first = await chunks.next()
  if (first.done) return undefined
  let waiting: IteratorResult<ChatChunk, void> | undefined = first
  // Not a generator: one that nobody began to read would not end what it reads when it is returned.
  const stream: AsyncGenerator<ChatChunk, void> = {
    next() {
      if (!waiting) return chunks.next()
      const result = waiting
      waiting = undefined
      return Promise.resolve(result)
    },
    return() {
      waiting = undefined
      return chunks.return()
    },
    throw(error) {
      waiting = undefined
      return chunks.throw(error)
    },
    [Symbol.asyncIterator]: () => stream,
    [Symbol.asyncDispose]: async () => void (await chunks.return()),
  }
  return stream
}
