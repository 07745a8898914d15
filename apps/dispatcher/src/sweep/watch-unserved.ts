import type { Database } from '@millrace/database/connect'
import { countWaiting } from '@millrace/lifecycle/waiting'
import { findUnserved } from '@millrace/lifecycle/workers'
import type { Log } from '@millrace/process/log'

/**
 * Tells an operator of the models for which predictions wait and that no worker serves: once of each when it has been so
 * for longer than a worker takes to be replaced, and once when it is over. Answers those among the models that wait now.
 */
export function watchUnserved(db: Database, log: Log, { patienceSeconds = 5 } = {}): UnservedWatch {
  const known = new Map<string, Unserved>()

  async function tell(model: string): Promise<void> {
    const { waiting, capped } = await countWaiting(db, model)
    log.warn(
      { model, waiting, ...(capped ? { capped } : {}) },
      `no worker serves ${model}, and ${capped ? 'more than ' : ''}${waiting} of its predictions wait. Its file must be in the MODELS_DIR of a worker whose POOLS and MODELS let it serve the model`,
    )
  }

  function forget(model: string, { told }: Unserved, isServed: boolean): void {
    known.delete(model)
    if (told)
      log.info({ model }, isServed ? `a worker serves ${model}` : `nothing waits for ${model} any more`)
  }

  return async (waiting) => {
    if (waiting.length === 0 && known.size === 0) return new Set()
    const unserved = new Set(await findUnserved(db, [...waiting, ...known.keys()]))
    const now = performance.now()
    for (const model of waiting) {
      if (!unserved.has(model)) continue
      const state = known.get(model) ?? { since: now, waitedAt: now, told: false }
      known.set(model, { ...state, waitedAt: now })
    }
    for (const [model, state] of known) {
      if (!unserved.has(model)) forget(model, state, true)
      // One prediction may follow another that ended for want of a worker.
      else if (now - state.waitedAt > quietMs) forget(model, state, false)
      else if (!state.told && now - state.since >= patienceSeconds * 1000) {
        state.told = true
        await tell(model)
      }
    }
    return unserved
  }
}

const quietMs = 60_000

interface Unserved {
  /** On this process's `performance.now()`. */
  since: number
  waitedAt: number
  told: boolean
}

/** Of these models something waits now. */
export type UnservedWatch = (waiting: string[]) => Promise<ReadonlySet<string>>
