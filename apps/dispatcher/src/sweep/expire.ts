import type { Database } from '@millrace/database/connect'
import { rangeOf } from '@millrace/lifecycle/id-range'
import { removeExpiredFiles } from '@millrace/storage/files'
import { emptyValues } from './empty-values.ts'
import type { PurgeContext } from './purge.ts'

/**
 * Removes files whose time has passed, bytes and rows; those that were stored without an end get one by their age once
 * no run needs them. The predictions they belonged to say from then on that their data is gone.
 */
export async function expireFiles({ db, store, retention }: PurgeContext): Promise<number> {
  await db.pool.query(datingStatement, [retention.fileDays])
  const { rows } = await db.pool.query<{ prediction_id: string }>(
    `select distinct prediction_id from (
       select prediction_id from files where expires_at <= (select clock_timestamp()) order by expires_at limit $1) f
     where prediction_id is not null`,
    [filesAtOnce],
  )
  await markExpired(
    db,
    rows.map(({ prediction_id }) => prediction_id),
  )
  return removeExpiredFiles(db, store, filesAtOnce)
}

/**
 * Empties predictions whose values are too old: input, output and logs go, the row stays in the lists. No index knows
 * which those are, so it walks over the old ones, a window at a time; answers where the next call goes on. At the end
 * the walk begins anew, for those that were still unfinished when it came by.
 */
export async function expireValues(
  { db, retention }: PurgeContext,
  after: string,
): Promise<{ emptied: number; next: string }> {
  const { rows } = await db.pool.query<{ id: string; stale: boolean }>(windowStatement, [
    after,
    retention.valueDays,
  ])
  const next = rows.at(-1)?.id ?? startOfWalk
  const ids = rows.flatMap(({ id, stale }) => (stale ? [id] : []))
  return { emptied: await emptyValues(db, ids), next }
}

/**
 * SQL: the first id of so many days ago; nothing below it is younger. As a select of its own it is known before the scan
 * begins and bounds it: a clock in a condition would have every row looked at. No id is of a time before 1970, and
 * uuid_floor makes a high one of it.
 */
export const floorOfAge = (days: string): string =>
  `(select uuid_floor(greatest(to_timestamp(0), clock_timestamp() - make_interval(days => ${days}::integer))))`

/** Before every id. */
export const startOfWalk = '00000000-0000-0000-0000-000000000000'

async function markExpired(db: Database, ids: string[]): Promise<void> {
  if (ids.length === 0) return
  await db.pool.query(
    `update predictions set expired_at = clock_timestamp()
     where id = any($1::uuid[]) and id between $2 and $3 and expired_at is null and completed_at is not null`,
    [ids, ...rangeOf(ids)],
  )
}

/** So many go in one call of expireFiles. */
export const filesAtOnce = 100

const datingStatement = `
  update files f set expires_at = clock_timestamp()
  from (
    select id from files where expires_at is null and id < ${floorOfAge('$1')} order by id limit 100
  ) old
  where f.id = old.id and not exists (select from runs r where r.prediction_id = f.prediction_id)`

const windowStatement = `
  select p.id, p.completed_at < clock_timestamp() - make_interval(days => $2::integer)
               and (p.output is not null or p.input::text <> '{}' or p.sealed_input is not null
                    or exists (select from prediction_events e where e.prediction_id = p.id and e.kind <> 'status'
                               offset 0)) as stale
  from predictions p
  where p.id > $1::uuid and p.id < ${floorOfAge('$2')}
  order by p.id limit 200`
