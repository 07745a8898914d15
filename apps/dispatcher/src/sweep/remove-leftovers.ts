import type { Database } from '@millrace/database/connect'
import { isOver } from '@millrace/lifecycle/places'
import type { SweepReport } from './sweep.ts'

/**
 * Removes what runs left behind that nobody looks at any more: reports of hosts that no worker read, places where
 * nothing is limited now, windows of rates that are over, and failures of hosts that nobody has aimed at for a day.
 */
export async function removeLeftovers({ pool }: Database): Promise<SweepReport | undefined> {
  let removed = 0
  for (const statement of statements) removed += (await pool.query(statement)).rowCount ?? 0
  return removed > 0 ? { removed } : undefined
}

const statements = [
  `delete from callbacks where id in (
     select c.id from callbacks c
     where not exists (select from runs r where r.prediction_id = c.prediction_id) limit 1000)`,
  `delete from places_taken taken where ${isOver('taken')}`,
  // Whoever counts in one at this moment holds it.
  `delete from rate_windows where name in (
     select name from rate_windows where until < clock_timestamp() limit 1000 for update skip locked)`,
  `delete from hosts where failed_at < clock_timestamp() - interval '1 day'`,
]
