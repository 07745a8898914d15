import type { Database } from '@millrace/database/connect'
import { releaseExpired } from '@millrace/lifecycle/release'
import type { Ringing } from './ring-lost.ts'
import type { Sweep, SweepReport } from './sweep.ts'

/**
 * Frees the runs whose worker stopped renewing, and rings for them at once. While the database was away nobody could
 * renew, so everybody gets a whole lease from when it is back: the time its server started does not tell, since a
 * recovery may outlast a lease and a standby that takes over has been up all along.
 */
export function createRelease(
  db: Database,
  queue: Ringing,
  leaseSeconds: number,
): Pick<Sweep, 'run' | 'failed'> {
  let away = false
  let waitUntil = 0
  return {
    failed() {
      away = true
    },
    async run() {
      if (away) waitUntil = performance.now() + leaseSeconds * 1000
      away = false
      return performance.now() < waitUntil ? undefined : releaseDead(db, queue, leaseSeconds)
    },
  }
}

async function releaseDead(
  db: Database,
  queue: Ringing,
  leaseSeconds: number,
): Promise<SweepReport | undefined> {
  const freed = await releaseExpired(db, leaseSeconds)
  if (freed.length === 0) return undefined
  const { rows } = await db.pool.query<{ pool: string; model: string; ids: string[] }>(
    `select pool, model, array_agg(prediction_id) as ids from runs where prediction_id = any($1::uuid[])
     group by pool, model`,
    [freed.map(({ id }) => id)],
  )
  for (const { pool, model, ids } of rows) queue.ring(pool, model, ids)
  return { released: freed.length }
}
