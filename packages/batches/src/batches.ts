import type { Batch } from '@millrace/contract/batch'
import type { Database } from '@millrace/database/connect'
import { newId, toTypeId } from '@millrace/database/ids'
import type { BatchTable } from '@millrace/database/tables'
import { type Selectable, sql } from 'kysely'

/**
 * Stores a new batch. With an idempotency key that was used before, the batch that it made then; undefined where that
 * was made from another request.
 */
export async function createBatch(db: Database, batch: NewBatch): Promise<BatchMade | undefined> {
  const { key = null, fingerprint = null } = batch.idempotency ?? {}
  const { rows } = await db.pool.query<BatchRow>(
    `insert into batches (id, account_id, endpoint, input_file_id, completion_window, metadata, expires_at, idempotency_key, fingerprint, key_id)
     values ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(hours => $7), $8, $9, $10)
     on conflict (account_id, idempotency_key) where idempotency_key is not null do nothing
     returning *`,
    [
      newId(),
      batch.accountId,
      batch.endpoint,
      batch.inputFileId,
      batch.completionWindow,
      JSON.stringify(batch.metadata),
      hoursOf(batch.completionWindow),
      key,
      fingerprint,
      batch.keyId ?? null,
    ],
  )
  const [made] = rows
  if (made) return { row: made, replayed: false }
  const earlier = await db.kysely
    .selectFrom('batches')
    .selectAll()
    .where('account_id', '=', batch.accountId)
    .where('idempotency_key', '=', key)
    .executeTakeFirst()
  return earlier && fingerprint && earlier.fingerprint?.equals(fingerprint)
    ? { row: earlier, replayed: true }
    : undefined
}

/** An account's batch; another's answers as one that never was. */
export async function findBatch(db: Database, accountId: string, id: string): Promise<BatchRow | undefined> {
  return db.kysely
    .selectFrom('batches')
    .selectAll()
    .where('id', '=', id)
    .where('account_id', '=', accountId)
    .executeTakeFirst()
}

/** Up to `limit` batches of an account, newest first, older than `after`. */
export async function listBatches(
  db: Database,
  accountId: string,
  { limit, after }: { limit: number; after?: string | undefined },
): Promise<BatchRow[]> {
  let query = db.kysely.selectFrom('batches').selectAll().where('account_id', '=', accountId)
  if (after !== undefined) query = query.where('id', '<', after)
  return query.orderBy('id', 'desc').limit(limit).execute()
}

/** Asks that a batch stop. What has its end already stays as it is. Answers the batch as it stands. */
export async function cancelBatch(
  db: Database,
  accountId: string,
  id: string,
): Promise<BatchRow | undefined> {
  await db.kysely
    .updateTable('batches')
    .set({ status: 'cancelling', cancelling_at: sql<Date>`clock_timestamp()` })
    .where('id', '=', id)
    .where('account_id', '=', accountId)
    .where('status', 'in', ['validating', 'in_progress'])
    .execute()
  return findBatch(db, accountId, id)
}

/** Removes up to `limit` batches that ended more than `days` ago, with their lines. Answers with their number. */
export async function removeOldBatches(db: Database, days: number, limit: number): Promise<number> {
  const { rowCount } = await db.pool.query(
    `delete from batches where id in (
       select id from batches where ended_at < clock_timestamp() - make_interval(days => $1) order by ended_at limit $2)`,
    [days, limit],
  )
  return rowCount ?? 0
}

/** The batch as the contract shows it. */
export function presentBatch(row: BatchRow): Batch {
  const endedAs = (status: BatchRow['status']) => (row.status === status ? unix(row.ended_at) : null)
  return {
    id: toTypeId('batch', row.id),
    object: 'batch',
    endpoint: row.endpoint,
    errors: row.errors && { object: 'list', data: row.errors },
    input_file_id: toTypeId('file', row.input_file_id),
    completion_window: row.completion_window,
    status: row.status,
    output_file_id: row.ended_at && row.output_file_id && toTypeId('file', row.output_file_id),
    error_file_id: row.ended_at && row.error_file_id && toTypeId('file', row.error_file_id),
    created_at: Math.floor(row.created_at.getTime() / 1000),
    in_progress_at: unix(row.in_progress_at),
    expires_at: Math.floor(row.expires_at.getTime() / 1000),
    finalizing_at: unix(row.finalizing_at),
    completed_at: endedAs('completed'),
    failed_at: endedAs('failed'),
    expired_at: endedAs('expired'),
    cancelling_at: unix(row.cancelling_at),
    cancelled_at: endedAs('cancelled'),
    request_counts: { total: row.total, completed: row.completed, failed: row.failed },
    metadata: row.metadata,
  }
}

/** Of a completion window. */
export function hoursOf(window: string): number {
  const count = Number.parseInt(window, 10)
  return window.endsWith('d') ? count * 24 : count
}

function unix(time: Date | null): number | null {
  return time && Math.floor(time.getTime() / 1000)
}

export interface NewBatch {
  accountId: string
  /** The key that asks for it. */
  keyId?: string
  endpoint: string | null
  inputFileId: string
  completionWindow: string
  metadata: Record<string, string>
  idempotency?: { key: string; fingerprint: Buffer } | undefined
}

export interface BatchMade {
  row: BatchRow
  replayed: boolean
}

export type BatchRow = Selectable<BatchTable>
