import { setTimeout as delay } from 'node:timers/promises'

/** Does `act` every `everyMs`, one at a time, until stopped; `stop` answers how often it was done. */
export function repeat(everyMs: number, act: () => Promise<unknown>): Repeating {
  const stopping = new AbortController()
  let times = 0
  const loop = (async () => {
    for (;;) {
      await delay(everyMs, undefined, { signal: stopping.signal }).catch(() => {})
      if (stopping.signal.aborted) return
      await act()
      times++
    }
  })()
  loop.catch(() => {}) // told by stop
  return {
    async stop() {
      stopping.abort()
      await loop
      return times
    },
  }
}

interface Repeating {
  /** Waits for the one under way; rejects when one failed. */
  stop(): Promise<number>
}
