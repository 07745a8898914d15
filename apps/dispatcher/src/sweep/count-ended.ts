import { fillUsage, rollUsage } from '@millrace/activity/roll-usage'
import type { Database } from '@millrace/database/connect'
import type { SweepReport } from './sweep.ts'

/**
 * Adds what has ended since to the totals of usage, and what had ended before there were any, for a second or two; the rest
 * waits for the next turn.
 */
export async function countEnded(db: Database, turnMs = 2_000): Promise<SweepReport | undefined> {
  const endsAt = performance.now() + turnMs
  let counted = 0
  for (let more = 1; more > 0 && performance.now() < endsAt; counted += more) more = await rollUsage(db)
  let filling = true
  while (filling && performance.now() < endsAt) filling = await fillUsage(db)
  return counted >= worthTelling ? { counted } : undefined
}

/** What is counted every few seconds is no news. */
const worthTelling = 10_000
