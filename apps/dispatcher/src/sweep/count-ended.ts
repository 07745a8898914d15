import { fillUsage, numbersWaiting, rollUsage } from '@millrace/activity/roll-usage'
import type { Database } from '@millrace/database/connect'
import type { SweepReport } from './sweep.ts'

/**
 * Adds what has ended to the totals of usage, and what had ended before there were any, for a second or two; the rest waits
 * for the next turn. A few that have ended wait up to a minute for others, since who asks counts them at little cost.
 */
export function createCount(db: Database, turnMs = 2_000): () => Promise<SweepReport | undefined> {
  let restsUntil = 0
  let filling = true

  return async () => {
    const endsAt = performance.now() + turnMs
    const isInTime = () => performance.now() < endsAt
    while (filling && isInTime()) filling = await fillUsage(db)
    if (performance.now() < restsUntil && (await numbersWaiting(db)) < few) return undefined
    restsUntil = performance.now() + restMs
    let counted = 0
    for (let more = 1; more > 0 && isInTime(); counted += more) more = await rollUsage(db)
    return counted >= worthTelling ? { counted } : undefined
  }
}

const few = 1_000
const restMs = 60_000

/** What is counted every minute is no news. */
const worthTelling = 10_000
