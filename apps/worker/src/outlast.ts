import { setTimeout as delay } from 'node:timers/promises'
import { isPassing } from '@millrace/database/faults'
import type { Log } from '@millrace/process/log'

/**
 * Does `work`, a statement, again until the database answers, however long that takes: a result is held, not lost, and
 * the fence sorts out what happened meanwhile. `work` must be safe to repeat. What the database refuses is thrown, and
 * so is the last failure once `isLost` says that the run is somebody else's.
 */
export async function outlast<T>(
  log: Log,
  work: () => Promise<T>,
  isLost = () => false,
  isWorthRepeating = isPassing,
): Promise<T> {
  for (let tried = 0; ; tried++) {
    try {
      return await work()
    } catch (error) {
      if (!isWorthRepeating(error) || isLost()) throw error
      if (tried === 0)
        log.warn({ err: error }, 'a statement failed and is repeated until the database answers')
      await delay(Math.min(50 * 2 ** tried, longestPauseMs) * (0.5 + Math.random() / 2))
    }
  }
}

const longestPauseMs = 2_000
