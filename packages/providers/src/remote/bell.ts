/**
 * Wakes whoever waits to look at a job again: a webhook has come, or an event of a stream. What rings is not believed,
 * only followed by a look, so it needs no secret and may get lost.
 */
export function createBell(): Bell {
  let rung = false
  let wake: () => void = () => undefined
  const bell: Bell = {
    live: false,
    ring() {
      bell.live = true
      rung = true
      wake()
    },
    async wait(ms, signal) {
      signal.throwIfAborted()
      if (!rung) await sleep(ms, signal)
      rung = false
    },
  }

  function sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = (how: () => void) => {
        clearTimeout(timer)
        signal.removeEventListener('abort', fail)
        wake = () => undefined
        how()
      }
      const fail = () => stop(() => reject(signal.reason))
      const timer = setTimeout(() => stop(resolve), ms)
      signal.addEventListener('abort', fail)
      wake = () => stop(resolve)
    })
  }

  return bell
}

export interface Bell {
  /** It has rung, and nobody knows of a reason why it should not again. */
  live: boolean
  ring(): void
  /** Until it rings, or that long. An abort throws the signal's reason. */
  wait(ms: number, signal: AbortSignal): Promise<void>
}
