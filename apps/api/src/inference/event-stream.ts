import { once } from 'node:events'
import type { Response } from 'express'
import type { CallSignals } from './call-signals.ts'

/**
 * Opens a stream of server-sent events: its headers go at once, a comment every 15 seconds of silence (or whatever else
 * `alive` is) keeps it alive, and whoever writes waits for a slow reader.
 */
export function openEventStream(
  response: Response,
  { gone, signal }: Pick<CallSignals, 'gone' | 'signal'>,
  alive = ': still here\n\n',
): EventStream {
  response.status(200).set({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
  })
  response.flushHeaders()
  const heartbeat = setTimeout(() => {
    // Who does not read what there is needs no sign of life.
    if (!gone.aborted && !response.writableNeedDrain) response.write(alive)
    heartbeat.refresh()
  }, silenceMs)

  // What comes in one turn leaves in one write: a write of its own for each frame costs more than all else.
  let held = ''
  const flush = () => {
    const frames = held
    held = ''
    if (frames !== '') response.write(frames)
  }

  return {
    async send(frame) {
      heartbeat.refresh()
      if (gone.aborted) return
      if (held === '') setImmediate(flush)
      held += frame
      if (held.length > mostHeld) flush()
      if (response.writableNeedDrain) await once(response, 'drain', { signal }).catch(() => {})
    },
    end() {
      clearTimeout(heartbeat)
      flush()
      response.end()
    },
  }
}

const mostHeld = 64 * 1024

/** Clients and proxies give up on a stream that says nothing for much longer. */
export const silenceMs = 15_000

/** See `openEventStream`. */
export interface EventStream {
  /**
   * A whole frame, with its empty line. Resolves when there is room for the next one, or nobody waits for it any more:
   * what is sent then still goes out, to a client that is there.
   */
  send(frame: string): Promise<void>
  /** Ends the stream, in whatever state. */
  end(): void
}
