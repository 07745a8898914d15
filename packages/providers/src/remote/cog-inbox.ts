import type { Callback } from '../provider.ts'
import { isOver, isSnapshot, type Snapshot } from './cog-snapshot.ts'

/**
 * What a container reports of one prediction. Each body has all there is so far, and they may overtake each other, so
 * only the newest waits here; one that tells of the end stays.
 */
export function openInbox(callback: Callback, id: string, arrived: () => void): Inbox {
  let waiting: Snapshot | undefined
  let heard = false
  let wake = () => {}
  const stop = callback.listen((body) => {
    if (!isSnapshot(body) || body.id !== id) return
    arrived()
    heard = true
    if (!waiting || !isOver(waiting)) waiting = body
    wake()
  })
  return {
    hasHeard: () => heard,
    async next(withinMs, signal) {
      if (!waiting && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const done = () => {
            clearTimeout(timer)
            signal.removeEventListener('abort', done)
            resolve()
          }
          const timer = setTimeout(done, withinMs)
          signal.addEventListener('abort', done)
          wake = done
        })
      }
      signal.throwIfAborted()
      const next = waiting
      waiting = undefined
      return next
    },
    close: stop,
  }
}

/** See `openInbox`. */
export interface Inbox {
  hasHeard(): boolean
  /** Nothing when that time is over. An abort throws the signal's reason. */
  next(withinMs: number, signal: AbortSignal): Promise<Snapshot | undefined>
  close(): void
}
