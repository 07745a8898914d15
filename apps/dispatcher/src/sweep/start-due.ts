import type { Database } from '@millrace/database/connect'
import { unpark } from '@millrace/lifecycle/parked'
import type { Ringing } from './ring-lost.ts'
import type { SweepReport } from './sweep.ts'

/** Puts the scheduled runs in line whose time has come, and rings for them; batch by batch while there are many. */
export async function startDue(
  db: Database,
  queue: Ringing,
  { atOnce = 1_000, turnMs = 2_000 } = {},
): Promise<SweepReport | undefined> {
  const endsAt = performance.now() + turnMs
  let started = 0
  for (let full = true; full && performance.now() < endsAt; ) {
    const { runs, bells } = await unpark(db, atOnce)
    for (const { pool, model } of bells) queue.ring(pool, model)
    started += runs
    full = runs === atOnce
  }
  return started > 0 ? { started } : undefined
}
