import type { Database } from '@millrace/database/connect'
import type { FileStore } from '@millrace/storage/store'
import type { Retention } from '../config.ts'
import { expireFiles, expireValues, startOfWalk } from './expire.ts'
import { purgePredictions } from './purge-predictions.ts'
import type { SweepReport } from './sweep.ts'

/**
 * Removes what was deleted and what is too old, in small batches: the rest waits for the next turn. Every step may be
 * cut off anywhere and is then done again.
 */
export function createPurge(context: PurgeContext): () => Promise<SweepReport | undefined> {
  // Lost at a restart, which costs one more walk.
  let walked = startOfWalk

  return async () => {
    const { db, retention } = context
    const values = await expireValues(context, walked)
    walked = values.next
    const done = {
      deleted: await purgePredictions(context, deletedStatement, []),
      aged: await purgePredictions(context, agedStatement, [retention.rowDays]),
      files: await expireFiles(context),
      values: values.emptied,
      keys: await count(db, keysStatement),
      secrets: await count(db, secretsStatement),
    }
    return Object.values(done).some((number) => number > 0) ? done : undefined
  }
}

async function count(db: Database, statement: string): Promise<number> {
  const { rowCount } = await db.pool.query(statement)
  return rowCount ?? 0
}

// Only what is over: no run, and no webhook still to be sent.
const over = `
  not exists (select from runs r where r.prediction_id = p.id)
  and not exists (select from deliveries d
                  where d.prediction_id = p.id and d.completed_at is null
                    and d.id >= uuid_floor(p.created_at - interval '1 minute') offset 0)`

const deletedStatement = `select p.id from predictions p where p.deleted_at is not null and ${over} limit 50`

// No id is of a time before 1970, and uuid_floor makes a high one of it.
const agedStatement = `
  select p.id from predictions p
  where p.id < uuid_floor(greatest(to_timestamp(0), clock_timestamp() - make_interval(days => $1::integer))) and ${over} order by p.id limit 50`

const keysStatement = `
  delete from idempotency_keys k using (
    select account_id, key from idempotency_keys where created_at < clock_timestamp() - interval '24 hours'
    order by created_at limit 1000
  ) old
  where k.account_id = old.account_id and k.key = old.key and k.created_at < clock_timestamp() - interval '24 hours'`

const secretsStatement = 'delete from signing_secrets where retires_at <= clock_timestamp()'

export interface PurgeContext {
  db: Database
  store: FileStore
  retention: Retention
}
