/**
 * How many runs may begin: each model has as many slots as it takes runs at a time, and all share the slots of the
 * process. Slots are reserved before a claim, so that claims under way at once never take more than can run.
 */
export function createModelSlots(total: number, concurrency: ReadonlyMap<string, number>): ModelSlots {
  const taken = new Map<string, number>()
  let busy = 0

  return {
    reserve(model) {
      const used = taken.get(model) ?? 0
      const free = Math.max(0, Math.min((concurrency.get(model) ?? 0) - used, total - busy))
      taken.set(model, used + free)
      busy += free
      return free
    },
    release(model, count) {
      taken.set(model, (taken.get(model) ?? 0) - count)
      busy -= count
    },
    busy: () => busy,
  }
}

export interface ModelSlots {
  /** Takes all that are free for `model`, and answers how many that is. */
  reserve(model: string): number
  release(model: string, count: number): void
  busy(): number
}
