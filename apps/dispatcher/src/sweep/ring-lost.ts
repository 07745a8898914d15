import type { Database } from '@millrace/database/connect'
import { isFree } from '@millrace/lifecycle/free-runs'
import { maxAttempts } from '@millrace/lifecycle/lifecycle'
import { everyModel, openLines, seedsOf } from '@millrace/lifecycle/open-lines'
import type { SweepReport } from './sweep.ts'
import type { UnservedWatch } from './watch-unserved.ts'

/**
 * Rings again for every model and pool of which a claimable run has waited over a second: its bell was lost, or
 * nobody had a free slot when it rang. What its account or key has no room for waits for no bell. Bells ring twice harmlessly, so nothing is noted. Those of models that nobody
 * serves are no news: `findUnserved` tells of them.
 */
export async function ringLost(
  db: Database,
  queue: Ringing,
  findUnserved?: UnservedWatch,
): Promise<SweepReport | undefined> {
  const { rows } = await db.pool.query<{ pool: string; model: string }>({
    name: 'ring-lost',
    text: statement,
    values: [maxAttempts],
  })
  for (const { pool, model } of rows) queue.ring(pool, model)
  const unserved = await findUnserved?.([...new Set(rows.map(({ model }) => model))])
  const rung = rows.filter(({ model }) => !unserved?.has(model)).length
  return rung > 0 ? { rung } : undefined
}

// Of each model only the front of a line is read: the cost does not grow with the number of runs that wait.
const statement = `
  with recursive ${everyModel}, ${openLines(seedsOf('select model from models where model is not null', '1'), '$1')}
  select distinct late.pool, l.model
  from open_lines l, lateral (
    select r.pool from runs r
    where r.model = l.model and r.priority = l.priority and r.account_id = l.account_id and r.lane = l.lane
      and r.run_at < clock_timestamp() - interval '1 second' and ${isFree('$1')}
    order by r.turn limit 100
  ) late`

/** The part of the queue that a sweep rings with. */
export interface Ringing {
  ring(pool: string, model: string): void
}
