import type { Database } from '@millrace/database/connect'
import { isFree } from './free-runs.ts'
import { maxAttempts } from './lifecycle.ts'

/** Which of these models have a run that has been free to claim for `seconds`. Reads the front of each line only. */
export async function findWaiting(db: Database, models: string[], seconds: number): Promise<string[]> {
  const { rows } = await db.pool.query<{ model: string }>({
    name: 'find-waiting',
    text: statement,
    values: [models, seconds, maxAttempts],
  })
  return rows.map(({ model }) => model)
}

const statement = `
  select m.model from unnest($1::text[]) as m(model)
  where exists (
    select from runs r
    where r.model = m.model and r.run_at < clock_timestamp() - make_interval(secs => $2) and ${isFree('$3')}
  )`
