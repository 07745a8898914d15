import { setTimeout as delay } from 'node:timers/promises'
import { faultOf, isUnreachable } from '@millrace/database/faults'

/**
 * Does `work` again until the database answers, however long that takes: a result is held, not lost, and the fence
 * sorts out what happened meanwhile. `work` must be safe to repeat. What the database refuses is thrown.
 */
export async function outlast<T>(work: () => Promise<T>): Promise<T> {
  for (let tried = 0; ; tried++) {
    try {
      return await work()
    } catch (error) {
      if (!isPassing(error)) throw error
      await delay(Math.min(50 * 2 ** tried, longestPauseMs) * (0.5 + Math.random() / 2))
    }
  }
}

function isPassing(error: unknown): boolean {
  const fault = faultOf(error)
  return fault === 'locked' || fault === 'conflict' || isUnreachable(error)
}

const longestPauseMs = 2_000
