import type { Database } from '@millrace/database/connect'
import type { Presence } from '@millrace/lifecycle/presence'
import { releaseExpired } from '@millrace/lifecycle/release'
import type { Ringing } from './ring-lost.ts'
import type { SweepReport } from './sweep.ts'

/** Frees the runs whose worker stopped renewing, and rings for them at once. */
export async function releaseDead(
  db: Database,
  queue: Ringing,
  leaseSeconds: number,
  presence: Presence,
): Promise<SweepReport | undefined> {
  const freed = await releaseExpired(db, leaseSeconds, presence)
  if (freed.length === 0) return undefined
  const { rows } = await db.pool.query<{ pool: string; model: string }>(
    'select distinct pool, model from runs where prediction_id = any($1::uuid[])',
    [freed.map(({ id }) => id)],
  )
  for (const { pool, model } of rows) queue.ring(pool, model)
  return { released: freed.length }
}
