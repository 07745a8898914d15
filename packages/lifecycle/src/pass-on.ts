import { type Database, transaction } from '@millrace/database/connect'
import { retryConflicts } from '@millrace/database/faults'
import type { Fence } from './claim.ts'
import { holdRuns } from './hold-runs.ts'

/**
 * Gives a run to a fallback of its model: it stands in the fallback's line from now on, with all tries and no job, and
 * its prediction says who serves it. Answers whether it was the worker's to give: not so when it is repeated because
 * the answer was lost.
 */
export async function passOn(db: Database, worker: string, fence: Fence, to: Line): Promise<boolean> {
  return retryConflicts(() =>
    transaction(db, async (client) => {
      await holdRuns(client, [fence.id])
      const { rowCount } = await client.query({
        name: 'pass-on',
        text: statement,
        values: [fence.id, fence.attempt, worker, to.model, to.pool],
      })
      return rowCount === 1
    }),
  )
}

const statement = `
  with moved as (
    update runs
    set model = $4, pool = $5, asked = coalesce(asked, model), worker = null, lease_until = null, run_at = clock_timestamp(),
        tries = 0, job = null, rerun = true
    where prediction_id = $1 and attempt = $2 and worker = $3
    returning prediction_id
  )
  update predictions p set served_by = $4, updated_at = greatest(clock_timestamp(), p.updated_at)
  from moved where p.id = $1 and p.id = moved.prediction_id and p.attempt = $2`

/** Where runs of a model wait. */
export interface Line {
  model: string
  pool: string
}
