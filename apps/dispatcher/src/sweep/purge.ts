import { removeOldRemoved, removeOldRequests, removeStaleAnswers } from '@millrace/activity/remove-old'
import { removeOldHours } from '@millrace/activity/roll-usage'
import { removeOldBatches } from '@millrace/batches/batches'
import { databaseNow } from '@millrace/database/clock'
import type { Database } from '@millrace/database/connect'
import { idFloor } from '@millrace/database/ids'
import type { FileStore } from '@millrace/storage/store'
import type { Retention } from '../config.ts'
import { createPartitionDrop } from './drop-partitions.ts'
import { expireFiles, expireValues, filesAtOnce, floorOfAge, startOfWalk } from './expire.ts'
import { expiredAtOnce, expireEarly } from './expire-early.ts'
import { accountEventsAtOnce, purgeAccountEvents } from './purge-account-events.ts'
import { purgePredictions } from './purge-predictions.ts'
import type { SweepReport } from './sweep.ts'

/**
 * Removes what was deleted and what is too old, in small batches. What fills its batch gets another one, turn about with
 * the others, until the turn is over; the rest waits for the next one. Every step may be cut off anywhere and is then done
 * again. What fails stops nothing else: it is thrown when the turn is over.
 */
export function createPurge(context: PurgeContext): () => Promise<SweepReport | undefined> {
  const { db, retention, turnMs = 2_000 } = context
  const dropPartitions = createPartitionDrop(context)
  const chores: Record<string, Chore> = {
    values: valueWalk(context),
    deleted: batches(atOnce, () => purgePredictions(context, deletedStatement, [])),
    aged: batches(atOnce, () => purgePredictions(context, agedStatement, [retention.rowDays])),
    events: batches(accountEventsAtOnce, () => purgeAccountEvents(context)),
    batches: batches(batchesAtOnce, () => removeOldBatches(db, retention.rowDays, batchesAtOnce)),
    requests: batches(requestsAtOnce, () => removeOldRequests(db, retention.rowDays, requestsAtOnce)),
    removed: batches(requestsAtOnce, () => removeOldRemoved(db, retention.rowDays, requestsAtOnce)),
    hours: batches(requestsAtOnce, () => removeOldHours(db, requestsAtOnce)),
    answers: batches(atOnce, () => removeStaleAnswers(db, atOnce)),
    early: batches(expiredAtOnce, () => expireEarly(context)),
    files: batches(filesAtOnce, () => expireFiles(context)),
    keys: batches(keysAtOnce, () => count(db, keysStatement)),
    secrets: batches(Number.POSITIVE_INFINITY, () => count(db, secretsStatement)),
  }

  return async () => {
    const endsAt = performance.now() + turnMs
    const done: Record<string, number> = {}
    const failures: unknown[] = []
    for (let full = Object.keys(chores); full.length > 0; ) {
      full = await oneRound(chores, full, { done, failures })
      if (performance.now() >= endsAt) break
    }
    done.partitions = await dropPartitions(endsAt)
    if (failures.length > 0) throw failures[0]
    return Object.values(done).some((number) => number > 0) ? done : undefined
  }
}

/** A batch of each of these chores. Answers those that have more to do. */
async function oneRound(
  chores: Record<string, Chore>,
  names: string[],
  { done, failures }: { done: Record<string, number>; failures: unknown[] },
): Promise<string[]> {
  const full: string[] = []
  for (const name of names) {
    const batch = await chores[name]?.().catch((error: unknown) => void failures.push(error))
    done[name] = (done[name] ?? 0) + (batch?.done ?? 0)
    if (batch?.full) full.push(name)
  }
  return full
}

function batches(size: number, work: () => Promise<number>): Chore {
  return async () => {
    const done = await work()
    return { done, full: done >= size }
  }
}

/**
 * The first walk is over everything, and lost at a restart. Later ones are a minute apart and leave out what was old long
 * before: all of it had ended, and was emptied.
 */
function valueWalk(context: PurgeContext): Chore {
  let after = startOfWalk
  let restsUntil = 0
  return async () => {
    if (performance.now() < restsUntil) return { done: 0, full: false }
    const { emptied, next } = await expireValues(context, after)
    const full = next !== startOfWalk
    if (!full) restsUntil = performance.now() + 60_000
    after = full
      ? next
      : idFloor(Math.max(0, databaseNow() - (context.retention.valueDays + 14) * 86_400_000))
    return { done: emptied, full }
  }
}

async function count(db: Database, statement: string): Promise<number> {
  const { rowCount } = await db.pool.query(statement)
  return rowCount ?? 0
}

/** A batch of each takes well under a second. */
const atOnce = 200
const keysAtOnce = 1000
const requestsAtOnce = 1000
const batchesAtOnce = 20 // with up to 50,000 lines each

// Only what is over: no run, and no webhook still to be sent. `offset 0` has each candidate looked up by itself; without
// statistics the planner would rather join all there is.
const over = `
  not exists (select from runs r where r.prediction_id = p.id offset 0)
  and not exists (select from deliveries d
                  where d.prediction_id = p.id and d.completed_at is null
                    and d.id >= uuid_floor(p.created_at - interval '1 minute') offset 0)`

const deletedStatement = `select p.id from predictions p where p.deleted_at is not null and ${over} order by p.id limit ${atOnce}`

const agedStatement = `
  select p.id from predictions p where p.id < ${floorOfAge('$1')} and ${over} order by p.id limit ${atOnce}`

const keysStatement = `
  delete from idempotency_keys k using (
    select account_id, key from idempotency_keys where created_at < (select clock_timestamp() - interval '24 hours')
    order by created_at limit ${keysAtOnce}
  ) old
  where k.account_id = old.account_id and k.key = old.key and k.created_at < clock_timestamp() - interval '24 hours'`

const secretsStatement = 'delete from signing_secrets where retires_at <= clock_timestamp()'

export interface PurgeContext {
  db: Database
  store: FileStore
  retention: Retention
  /** After so long no further batch is begun. */
  turnMs?: number
}

/** Does one batch of its work. */
type Chore = () => Promise<{ done: number; full: boolean }>
