import { finished, Readable } from 'node:stream'
import type { Database } from '@millrace/database/connect'
import { isPassing, untilReachable } from '@millrace/database/faults'
import { fromTypeId, newId, toTypeId } from '@millrace/database/ids'
import { type Found, type Page, pageRows } from '@millrace/database/page'
import type { Tables } from '@millrace/database/tables'
import { byteLimit } from '@millrace/outbound/byte-limit'
import { type Insertable, type Selectable, sql } from 'kysely'
import { safeContentType } from './content-type.ts'
import { safeName } from './file-name.ts'
import type { FileStore, Kept } from './store.ts'

/**
 * Stores bytes and the row that owns them. The bytes come first: whatever is cut off in between leaves bytes that nobody
 * names, which are swept, never a file that is listed and cannot be read. Throws TooLargeError, and keeps nothing, beyond
 * `maxBytes`; the source is then left unread, not destroyed: a request must still be answered.
 */
export async function saveFile(db: Database, store: FileStore, file: NewFile): Promise<StoredFile> {
  const id = file.id ?? newId()
  const key = toTypeId('file', id)
  const limit = byteLimit(file.maxBytes)
  const source = file.source instanceof Readable ? file.source : Readable.from([file.source])
  finished(source, { writable: false }, (error) => error && limit.destroy(error))
  const bytes = await store.write(key, source.pipe(limit))
  return insertSurely(db, store, {
    id,
    account_id: file.accountId,
    prediction_id: file.predictionId ?? null,
    purpose: file.purpose,
    name: safeName(file.name),
    content_type: safeContentType(file.contentType),
    bytes,
    expires_at: file.expiresAt ?? null,
  })
}

/**
 * A row whose answer is lost may be there all the same. It goes again, which stores nothing twice, until that is known
 * or 5 s have passed; once it went again the bytes stay. A row that is refused at once takes its bytes along.
 */
async function insertSurely(db: Database, store: FileStore, row: NewRow): Promise<StoredFile> {
  let repeated = false
  async function insert(): Promise<StoredFile> {
    try {
      const statement = db.kysely.insertInto('files').values(row)
      const again = statement.onConflict((on) => on.column('id').doUpdateSet({ bytes: row.bytes }))
      return present(await again.returningAll().executeTakeFirstOrThrow())
    } catch (error) {
      repeated ||= isPassing(error)
      if (!repeated) await store.remove(toTypeId('file', row.id))
      throw error
    }
  }
  return untilReachable(insert, 5_000)
}

/** A file that has not expired. With `accountId`, only that account's: another's answers as one that never was. */
export async function findFile(db: Database, { id, accountId }: FileKey): Promise<StoredFile | undefined> {
  const uuid = fromTypeId('file', id)
  if (uuid === undefined) return undefined
  let query = db.kysely.selectFrom('files').selectAll().where('id', '=', uuid).where(unexpired)
  if (accountId !== undefined) query = query.where('account_id', '=', accountId)
  const row = await query.executeTakeFirst()
  return row && present(row)
}

/** Lets an account's file live until `until` at least. Answers undefined when there is none, or no more. */
export async function keepFile(
  db: Database,
  { id, accountId }: Required<FileKey>,
  until: Date,
): Promise<StoredFile | undefined> {
  const uuid = fromTypeId('file', id)
  if (uuid === undefined) return undefined
  const row = await db.kysely
    .updateTable('files')
    .set({ expires_at: sql<Date | null>`case when expires_at < ${until} then ${until} else expires_at end` })
    .where('id', '=', uuid)
    .where('account_id', '=', accountId)
    .where(unexpired)
    .returningAll()
    .executeTakeFirst()
  return row && present(row)
}

/** Stores the bytes of a file again, as an input of `accountId`; undefined when they are gone. Throws TooLargeError. */
export async function copyFile(
  db: Database,
  store: FileStore,
  { id, name, contentType }: StoredFile,
  copy: Pick<NewFile, 'accountId' | 'predictionId' | 'maxBytes' | 'expiresAt'>,
): Promise<StoredFile | undefined> {
  const source = await store.open(id)
  if (!source) return undefined
  try {
    return await saveFile(db, store, { ...copy, purpose: 'input', name, contentType, source })
  } finally {
    source.destroy()
  }
}

/** A page of an account's files, newest first. */
export async function listFiles(db: Database, accountId: string, page: Page): Promise<Found<StoredFile>> {
  const own = db.kysely.selectFrom('files').where('account_id', '=', accountId).where(unexpired)
  const found = await pageRows(own, page)
  return { ...found, rows: found.rows.map(present) }
}

/**
 * Removes an account's file; false when there is none. It is over from the first statement on: what a crash leaves is
 * not listed any more, and is swept as an expired one.
 */
export async function removeFile(db: Database, store: FileStore, key: Required<FileKey>): Promise<boolean> {
  const uuid = fromTypeId('file', key.id)
  if (uuid === undefined) return false
  const ended = await db.kysely
    .updateTable('files')
    .set({ expires_at: sql<Date>`clock_timestamp()` })
    .where('id', '=', uuid)
    .where('account_id', '=', key.accountId)
    .where(unexpired)
    .returning('id')
    .executeTakeFirst()
  if (!ended) return false
  await store.remove(key.id)
  await db.kysely.deleteFrom('files').where('id', '=', uuid).execute()
  return true
}

/**
 * Removes up to `limit` files whose time has passed and answers with their number. Two sweepers may do it at once. What
 * the store does not give up stays over, and is tried again after all others; then it throws, when the rest is done.
 */
export async function removeExpiredFiles(db: Database, store: FileStore, limit: number): Promise<number> {
  const expired = await db.kysely
    .selectFrom('files')
    .select('id')
    .where('expires_at', '<=', sql<Date>`(select clock_timestamp())`)
    .orderBy('expires_at')
    .limit(limit)
    .execute()
  const kept = await removeFiles(
    db,
    store,
    expired.map(({ id }) => id),
  )
  if (kept.length > 0) throw new KeptFilesError(kept)
  return expired.length
}

/** Removes files by their database ids, bytes and rows. Answers those that the store does not give up: they are over, and swept again. */
export async function removeFiles(db: Database, store: FileStore, ids: string[]): Promise<Kept[]> {
  if (ids.length === 0) return []
  const kept = await store.removeMany(ids.map((id) => toTypeId('file', id)))
  const left = new Set(kept.map(({ id }) => fromTypeId('file', id)))
  const gone = ids.filter((id) => !left.has(id))
  if (left.size > 0) {
    await db.kysely
      .updateTable('files')
      .set({ expires_at: sql<Date>`clock_timestamp()` })
      .where(
        'id',
        'in',
        ids.filter((id) => left.has(id)),
      )
      .execute()
  }
  if (gone.length > 0) await db.kysely.deleteFrom('files').where('id', 'in', gone).execute()
  return kept
}

/** The store does not give up some files that are to go. */
export class KeptFilesError extends Error {
  constructor(kept: Kept[]) {
    const [first] = kept
    super(
      `The store does not give up ${kept.length} files that are to go, such as ${first?.id}: ${first?.why}`,
    )
    this.name = 'KeptFilesError'
  }
}

/**
 * Walks over what is stored, a part at a time, and removes what no row owns and was written before `before`: a process
 * was killed between bytes and row, or the row was refused for good after its answer was lost. Answers where to go on.
 */
export async function removeStrays(
  db: Database,
  store: FileStore,
  part: string | undefined,
  before: Date,
): Promise<{ removed: number; kept: Kept[]; next: string | undefined }> {
  const { ids, next } = await store.walk(part, before)
  const uuids = ids.flatMap((id) => fromTypeId('file', id) ?? [])
  const owned = new Set(
    uuids.length === 0
      ? []
      : (await db.kysely.selectFrom('files').select('id').where('id', 'in', uuids).execute()).map(
          ({ id }) => id,
        ),
  )
  const strays = uuids.filter((id) => !owned.has(id))
  const kept = await store.removeMany(strays.map((id) => toTypeId('file', id)))
  return { removed: strays.length - kept.length, kept, next }
}

const unexpired = sql<boolean>`(expires_at is null or expires_at > clock_timestamp())`

function present(row: Selectable<Tables['files']>): StoredFile {
  return {
    id: toTypeId('file', row.id),
    accountId: row.account_id,
    predictionId: row.prediction_id,
    purpose: row.purpose,
    name: row.name,
    contentType: row.content_type,
    bytes: row.bytes,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  }
}

type NewRow = Insertable<Tables['files']> & { id: string }

export type NewFile = {
  /** Given by who may have to save the same file again. */
  id?: string
  accountId: string
  predictionId?: string | undefined
  purpose: string
  name: string
  contentType: string
  source: Readable | Uint8Array
  maxBytes: number
  expiresAt?: Date | undefined
}

/** `id` is the public one (`file_…`), which is also its name in the store; the others are database ids. */
export type StoredFile = {
  id: string
  accountId: string
  predictionId: string | null
  purpose: string
  name: string
  contentType: string
  bytes: number
  createdAt: Date
  expiresAt: Date | null
}

export type FileKey = { id: string; accountId?: string }
