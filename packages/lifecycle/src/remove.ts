import { type Database, transaction } from '@millrace/database/connect'
import { holdRuns } from './hold-runs.ts'
import { keepRemoved } from './removed.ts'

/**
 * Hides a prediction at once: get, list and stream no longer know it; what it was stays in the activity. Its row, events
 * and bytes are purged by the sweeper after its last delivery. Answers whether there was one to hide.
 */
export async function hide(db: Database, accountId: string, id: string): Promise<boolean> {
  return transaction(db, async (client) => {
    // First, as everybody does who moves a prediction: see ./hold-runs.ts for what a re-check of its row may do.
    await holdRuns(client, [id])
    const { rowCount } = await client.query(
      `update predictions set deleted_at = clock_timestamp() where id = $2 and account_id = $1 and deleted_at is null`,
      [accountId, id],
    )
    if (rowCount === 0) return false
    // A statement of its own: it sees what an ending listed that the update above had to wait for.
    await client.query(
      `with unlisted as (
         delete from outcomes where prediction_id = $1 returning seq
       ), kept as (
         ${keepRemoved('predictions', { where: 'id = $1', seq: '(select seq from unlisted)' })}
       )
       delete from prediction_tags where prediction_id = $1`,
      [id],
    )
    return true
  })
}
