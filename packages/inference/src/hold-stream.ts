import type { ChatChunk } from './chat.ts'
import { timedOut } from './host-faults.ts'

/**
 * The same chunks, of which each has to come in time once it is asked for; how long a reader takes is its own affair.
 * `ended` is called once, however the stream ends, also when its reader or its time is gone while nobody reads.
 */
export function holdStream(
  chunks: AsyncGenerator<ChatChunk, void>,
  { idleMs, time, ended }: Hold,
): AsyncGenerator<ChatChunk, void> {
  let waiting = 0
  let isOver = false
  const timer = setTimeout(() => {
    if (waiting > 0) time.abort(timedOut('The model fell silent within its answer.', { down: true }))
  }, idleMs)
  const gone = () => end(time.signal.reason)
  if (time.signal.aborted) gone()
  else time.signal.addEventListener('abort', gone, { once: true })

  function end(error?: unknown): void {
    if (isOver) return
    isOver = true
    clearTimeout(timer)
    time.signal.removeEventListener('abort', gone)
    ended(error)
  }

  // Not a generator: one that nobody began to read would not end what it reads when it is returned.
  const stream: AsyncGenerator<ChatChunk, void> = {
    async next() {
      if (isOver && !time.signal.aborted) return { done: true, value: undefined }
      if (!isOver) timer.refresh()
      waiting += 1
      try {
        const result = await chunks.next()
        if (result.done) end()
        return result
      } catch (error) {
        end(error)
        throw error
      } finally {
        waiting -= 1
      }
    },
    async return() {
      end(readerGone)
      // Whoever waits for a chunk is not waited for.
      if (waiting > 0) time.abort(readerGone)
      await chunks.return()
      return { done: true, value: undefined }
    },
    async throw(error) {
      await stream.return()
      throw error
    },
    [Symbol.asyncIterator]: () => stream,
    [Symbol.asyncDispose]: async () => void (await stream.return()),
  }
  return stream
}

/** Its reader wanted no more. */
export const readerGone = new DOMException('The reader of the stream has gone', 'AbortError')

interface Hold {
  /** Between two chunks. */
  idleMs: number
  time: { signal: AbortSignal; abort(reason: unknown): void }
  /** With what it ended, unless it ended well. */
  ended(error: unknown): void
}
