import type { Database } from '@millrace/database/connect'
import { retryConflicts } from '@millrace/database/faults'
import type { KeptJob } from '@millrace/database/tables'
import type { Fence } from './claim.ts'

/**
 * Notes what hosts call the jobs that they do for these runs, so that another worker takes them up instead of having the
 * work done twice. Answers of each whether the run was still its worker's.
 */
export async function keepJobs(db: Database, worker: string, jobs: NewJob[]): Promise<boolean[]> {
  const rows = jobs.map(({ id, attempt, job }) => ({ id, attempt, job: JSON.stringify(job) }))
  const kept = await retryConflicts(() =>
    db.pool.query<{ prediction_id: string }>({
      name: 'keep-jobs',
      text: statement,
      values: [JSON.stringify(rows), worker],
    }),
  )
  const ids = new Set(kept.rows.map(({ prediction_id }) => prediction_id))
  return jobs.map(({ id }) => ids.has(id))
}

const statement = `
  with incoming as materialized (
    select * from json_to_recordset($1) as i(id uuid, attempt integer, job text)
  ), held as materialized (
    select r.prediction_id, i.job from runs r join incoming i on r.prediction_id = i.id and r.attempt = i.attempt
    where r.worker = $2
      -- else it is planned as a scan of all runs
      and r.prediction_id = any(array(select id from incoming))
    order by r.prediction_id for update of r
  )
  update runs r set job = held.job::json from held where r.prediction_id = held.prediction_id
  returning r.prediction_id`

/** A job for one attempt. */
export interface NewJob extends Fence {
  job: KeptJob
}
