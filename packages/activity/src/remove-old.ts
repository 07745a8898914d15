import type { Database } from '@millrace/database/connect'
import { isCounted } from './ended.ts'

/**
 * Removes up to `limit` calls that were made more than `days` ago, have ended and are counted in the usage. Answers their
 * number.
 */
export async function removeOldRequests({ pool }: Database, days: number, limit: number): Promise<number> {
  const { rowCount } = await pool.query(
    `with old as materialized (
       select id from requests
       where id < (select uuid_floor(greatest(to_timestamp(0), clock_timestamp() - make_interval(days => $1))))
         and status <> 'running' and ${isCounted('requests')}
       order by id limit $2
     )
     delete from requests using old where requests.id = old.id
       and requests.id between (select min(id::text)::uuid from old) and (select max(id::text)::uuid from old)`,
    [days, limit],
  )
  return rowCount ?? 0
}

/** Removes what the activity shows of up to `limit` predictions that were made more than `days` ago and deleted since. */
export async function removeOldRemoved({ pool }: Database, days: number, limit: number): Promise<number> {
  const { rowCount } = await pool.query(
    `delete from removed_predictions where id in (
       select id from removed_predictions r
       where id < (select uuid_floor(greatest(to_timestamp(0), clock_timestamp() - make_interval(days => $1))))
         and completed_at is not null and ${isCounted('r')}
       order by id limit $2)`,
    [days, limit],
  )
  return rowCount ?? 0
}

/** Removes up to `limit` stored answers whose time has passed. Answers their number. */
export async function removeStaleAnswers({ pool }: Database, limit: number): Promise<number> {
  const { rowCount } = await pool.query(
    `delete from stored_answers where id in (
       select id from stored_answers where expires_at <= (select clock_timestamp()) order by expires_at limit $1)`,
    [limit],
  )
  return rowCount ?? 0
}
