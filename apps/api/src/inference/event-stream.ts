import { once } from 'node:events'
import type { Response } from 'express'

/**
 * Opens a stream of server-sent events: its headers go at once, a comment every 15 seconds of silence (or whatever else
 * `alive` is) keeps it alive, and whoever writes waits for a slow reader.
 */
export function openEventStream(
  response: Response,
  gone: AbortSignal,
  alive = ': still here\n\n',
): EventStream {
  response.status(200).set({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
  })
  response.flushHeaders()
  let wroteAt = performance.now()
  const heartbeat = setInterval(() => {
    if (performance.now() - wroteAt < silenceMs || gone.aborted) return
    wroteAt = performance.now()
    response.write(alive)
  }, silenceMs / 5)

  return {
    async send(frame) {
      wroteAt = performance.now()
      if (gone.aborted || response.write(frame)) return
      await once(response, 'drain', { signal: gone }).catch(() => {})
    },
    end() {
      clearInterval(heartbeat)
      response.end()
    },
  }
}

const silenceMs = 15_000

/** See `openEventStream`. */
export interface EventStream {
  /** A whole frame, with its empty line. Resolves when there is room for the next one, or nobody reads any more. */
  send(frame: string): Promise<void>
  /** Ends the stream, in whatever state. */
  end(): void
}
