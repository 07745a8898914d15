import type { Database } from '@millrace/database/connect'

/**
 * Hides a prediction at once: get, list and stream no longer know it. Its row, events and bytes are purged by the
 * sweeper after its last delivery. Answers whether there was one to hide.
 */
export async function hide(db: Database, accountId: string, id: string): Promise<boolean> {
  const { rowCount } = await db.pool.query(
    `with hidden as (
       update predictions set deleted_at = clock_timestamp()
       where id = $2 and account_id = $1 and deleted_at is null returning id
     ), unlisted as (
       delete from outcomes o using hidden where o.prediction_id = hidden.id
     ), untagged as (
       delete from prediction_tags t using hidden where t.prediction_id = hidden.id
     )
     select id from hidden`,
    [accountId, id],
  )
  return (rowCount ?? 0) > 0
}
