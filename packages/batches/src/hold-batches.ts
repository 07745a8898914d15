import type { Database } from '@millrace/database/connect'
import type { BatchTable, Tables } from '@millrace/database/tables'
import { type Selectable, sql, type UpdateObject } from 'kysely'

/** Takes up to `limit` unfinished batches that nobody works on, for `worker`, but none of `except`. */
export async function takeBatches(
  db: Database,
  worker: string,
  limit: number,
  except: string[] = [],
): Promise<HeldBatch[]> {
  const { rows } = await db.pool.query<HeldBatch>(
    `update batches set worker = $1, lease_until = clock_timestamp() + make_interval(secs => $2)
     where id in (
       select id from batches where ended_at is null and (lease_until is null or lease_until < clock_timestamp())
         and id <> all($4::uuid[])
       order by id limit $3 for update skip locked)
     returning *, expires_at < clock_timestamp() as late`,
    [worker, leaseSeconds, limit, except],
  )
  return rows
}

/**
 * Holds on to a batch, and answers it as it stands; undefined when it is somebody else's by now. Who looks after a batch
 * asks several times a second: it is written only when a third of the lease is over.
 */
export async function renewBatch(db: Database, { id, worker }: HeldBatch): Promise<HeldBatch | undefined> {
  const { rows } = await db.pool.query<HeldBatch>({
    name: 'renew-batch',
    text: `
      with renewed as (
        update batches set lease_until = clock_timestamp() + make_interval(secs => $3)
        where id = $1 and worker = $2 and ended_at is null and lease_until < ${renewedUntil} returning *
      ), held as (
        select * from renewed union all
        -- Not what is being renewed: it may turn out to be somebody else's.
        select * from batches where id = $1 and worker = $2 and ended_at is null and lease_until >= ${renewedUntil}
      )
      select *, expires_at < clock_timestamp() as late from held`,
    values: [id, worker, leaseSeconds],
  })
  return rows[0]
}

/** Changes a batch that is held, unless `from` names other statuses than its own. Answers whether it did. */
export async function changeBatch(
  db: Database,
  { id, worker }: HeldBatch,
  change: Change,
  from?: Selectable<BatchTable>['status'][],
): Promise<boolean> {
  let query = db.kysely.updateTable('batches').set(change).where('id', '=', id).where('worker', '=', worker)
  if (from) query = query.where('status', 'in', from)
  const { numUpdatedRows } = await query.executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Gives a batch back, so that another process goes on at once. */
export async function leaveBatch(db: Database, { id, worker }: HeldBatch): Promise<void> {
  await db.pool.query('update batches set worker = null, lease_until = null where id = $1 and worker = $2', [
    id,
    worker,
  ])
}

/** The moment of a change, by the database's clock. */
export const now = sql<Date>`clock_timestamp()`

const leaseSeconds = 15

/** A lease that ends before this moment has a third of its time behind it. The same moment in a whole statement. */
const renewedUntil = 'statement_timestamp() + make_interval(secs => $3) * 2 / 3'

type Change = UpdateObject<Tables, 'batches', 'batches'>

/** `late`: its window is over. */
export type HeldBatch = Selectable<BatchTable> & { late: boolean }
