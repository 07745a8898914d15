import type { Callback } from '../provider.ts'

/** What a host posts while a run waits. Without a callback it is only a way to wait. */
export function createInbox(callback: Callback | undefined): Inbox {
  const arrived: { body: unknown }[] = []
  let wake = () => undefined as unknown
  const stop = callback?.listen((body) => {
    arrived.push({ body })
    wake()
  })
  return {
    isOpen: callback !== undefined,
    async next(seconds, signal) {
      signal.throwIfAborted()
      if (arrived.length === 0) {
        const woken = Promise.withResolvers<void>()
        wake = woken.resolve
        signal.addEventListener('abort', wake, { once: true })
        const timer = seconds === undefined ? undefined : setTimeout(wake, seconds * 1000)
        await woken.promise
        clearTimeout(timer)
        signal.removeEventListener('abort', wake)
      }
      signal.throwIfAborted()
      return arrived.shift()
    },
    close: () => stop?.(),
  }
}

export interface Inbox {
  isOpen: boolean
  /** What was posted next, or nothing when so many seconds have passed; for ever where none are stated. Throws on abort. */
  next(seconds: number | undefined, signal: AbortSignal): Promise<{ body: unknown } | undefined>
  close(): void
}
