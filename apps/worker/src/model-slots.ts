/**
 * How many runs may begin: each model has as many slots as it takes runs at a time, and all share the slots of the
 * process. Slots are reserved before a claim, so that claims under way at once never take more than can run.
 */
export function createModelSlots(total: number, models: SlottedModels): ModelSlots {
  const taken = new Map<string, number>()
  const running = new Map<string, number>()
  let busy = 0
  let runs = 0

  function add(counts: Map<string, number>, model: string, count: number): void {
    counts.set(model, (counts.get(model) ?? 0) + count)
  }

  return {
    reserve(model) {
      const used = taken.get(model) ?? 0
      const free = Math.max(
        0,
        Math.min((models.get(model)?.description.concurrency ?? 0) - used, total - busy),
      )
      add(taken, model, free)
      busy += free
      return free
    },
    fill(model, reserved, used) {
      add(taken, model, used - reserved)
      busy += used - reserved
      add(running, model, used)
      runs += used
    },
    release(model) {
      add(taken, model, -1)
      busy -= 1
      add(running, model, -1)
      runs -= 1
    },
    idle: () =>
      runs < total
        ? [...models].flatMap(([model, { description }]) =>
            (running.get(model) ?? 0) < description.concurrency ? [model] : [],
          )
        : [],
    busy: () => busy,
  }
}

/** The models that are served, which change: those of a state that went count as that model's until they end. */
type SlottedModels = ReadonlyMap<string, { description: { concurrency: number } }>

export interface ModelSlots {
  /** Takes all that are free for `model`, and answers how many that is. */
  reserve(model: string): number
  /** Of the slots that were reserved these are used by runs that begin; the others are free again. */
  fill(model: string, reserved: number, used: number): void
  /** A run has ended. */
  release(model: string): void
  /** The models of which one more run could begin: a slot that is only reserved has no run. */
  idle(): string[]
  busy(): number
}
