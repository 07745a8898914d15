import type { Database } from '@millrace/database/connect'
import type { Fence } from './claim.ts'

/**
 * Takes what a host reports to the address of an attempt. Answers false when nobody waits for it: the run is over, or a
 * later attempt has it that did not take up this one's job. Of a host that talks faster than it is listened to, the rest
 * is dropped: a report is a hint, and its job can be asked for.
 */
export async function takeCallback(
  { pool }: Database,
  { id, attempt }: Fence,
  body: string,
): Promise<boolean> {
  const { rows } = await pool.query({
    name: 'take-callback',
    text: takeStatement,
    values: [id, attempt, body],
  })
  return rows.length > 0
}

/** What was reported of these predictions since the last look, in order; only of runs that `worker` holds. */
export async function readCallbacks(
  { pool }: Database,
  worker: string,
  ids: string[],
): Promise<StoredCallback[]> {
  const { rows } = await pool.query<StoredCallback & { seq: string }>({
    name: 'read-callbacks',
    text: readStatement,
    values: [ids, worker],
  })
  return rows
    .sort((a, b) => Number(a.seq) - Number(b.seq))
    .map(({ id, attempt, body }) => ({ id, attempt, body }))
}

const most = 100

const takeStatement = `
  with awaited as materialized (
    select prediction_id from runs
    where prediction_id = $1 and attempt > 0 and $2::integer in (attempt, (job ->> 'attempt')::integer)
  ), taken as (
    insert into callbacks (prediction_id, attempt, body)
    select prediction_id, $2, $3 from awaited
    where (select count(*) from callbacks c where c.prediction_id = $1) < ${most}
  )
  select from awaited`

const readStatement = `
  delete from callbacks c using runs r
  where c.prediction_id = any($1::uuid[]) and r.prediction_id = c.prediction_id and r.worker = $2
  returning c.id as seq, c.prediction_id as id, c.attempt, c.body`

/** What came to the address of an attempt. */
export interface StoredCallback extends Fence {
  body: string
}
