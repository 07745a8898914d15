/** Lets `total` runs in at a time; the others wait in turn. `emptied` is called whenever the last one has left. */
export function createSlots(total: number, emptied: () => void = () => undefined): Slots {
  const waiting: (() => void)[] = []
  let inside = 0
  return {
    async take(signal) {
      if (signal.aborted) return false
      if (inside < total) {
        inside += 1
        return true
      }
      return new Promise((resolve) => {
        const take = () => resolve(true)
        waiting.push(take)
        signal.addEventListener('abort', () => {
          if (waiting.includes(take)) {
            waiting.splice(waiting.indexOf(take), 1)
            resolve(false)
          }
        })
      })
    },
    leave() {
      const next = waiting.shift()
      if (next) {
        next()
        return
      }
      inside -= 1
      if (inside === 0) emptied()
    },
  }
}

export interface Slots {
  /** Answers whether a slot was had; not when the signal fired first. */
  take(signal: AbortSignal): Promise<boolean>
  /** Hands the slot to the next in turn. */
  leave(): void
}
