import type { Caller } from '@millrace/accounts/api-keys'
import {
  cancelBatch as askToCancel,
  type BatchRow,
  findBatch,
  listBatches as findBatches,
  hoursOf,
  presentBatch,
  createBatch as storeBatch,
} from '@millrace/batches/batches'
import type { BatchRequest } from '@millrace/contract/batch'
import { endpoints } from '@millrace/contract/endpoints'
import { databaseNow } from '@millrace/database/clock'
import { fromTypeId, newId, toTypeId } from '@millrace/database/ids'
import { keepFile, removeFile, saveFile } from '@millrace/storage/files'
import { ApiError } from '../api-error.ts'
import { badParameter } from '../bad-parameter.ts'
import type { Context } from '../context.ts'
import { idempotencyOf } from '../idempotency-key.ts'
import { route } from '../route.ts'
import { shortestRetention } from '../shortest-retention.ts'

export const createBatch = route(
  endpoints.createBatch,
  async ({ context, caller, body, request, raw, response }) => {
    const { endpoint = null, completion_window: completionWindow, metadata } = body
    const { accountId, keyId } = caller
    const needed = neededUntil(completionWindow)
    const inputFileId =
      body.requests === undefined
        ? await ownFile(context, accountId, body.input_file_id ?? '', needed)
        : await saveRequests(context, caller, body.requests, needed)
    const idempotency = idempotencyOf(request, raw)
    const batch = { accountId, keyId, endpoint, inputFileId, completionWindow, metadata, idempotency }
    const made = await storeBatch(context.db, batch)
    const isOurs = made?.row.input_file_id === inputFileId
    if (!isOurs && body.requests !== undefined) await dropRequests(context, accountId, inputFileId)
    if (!made) throw new ApiError('IDEMPOTENCY_KEY_REUSED')
    if (made.replayed) response.set('idempotency-replayed', 'true')
    return presentBatch(made.row)
  },
)

export const listBatches = route(endpoints.listBatches, async ({ context, caller, query }) => {
  const { limit = 20, after } = query
  const below = after === undefined ? undefined : fromTypeId('batch', after)
  if (after !== undefined && below === undefined) throw badParameter('after', 'is no id of a batch')
  const found = await findBatches(context.db, caller.accountId, { limit: limit + 1, after: below })
  const data = found.slice(0, limit).map(presentBatch)
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: found.length > limit,
  }
})

export const getBatch = route(endpoints.getBatch, async ({ context, caller, params }) => {
  return presentBatch(existing(await findBatch(context.db, caller.accountId, uuidOf(params.id))))
})

export const cancelBatch = route(endpoints.cancelBatch, async ({ context, caller, params }) => {
  return presentBatch(existing(await askToCancel(context.db, caller.accountId, uuidOf(params.id))))
})

function uuidOf(id: string): string {
  const uuid = fromTypeId('batch', id)
  if (uuid === undefined) throw new ApiError('BATCH_NOT_FOUND')
  return uuid
}

function existing(row: BatchRow | undefined): BatchRow {
  if (!row) throw new ApiError('BATCH_NOT_FOUND')
  return row
}

/** It stays until the batch must have ended. */
async function ownFile(context: Context, accountId: string, id: string, needed: Date): Promise<string> {
  const file = await keepFile(context.db, { id, accountId }, needed)
  const uuid = file && fromTypeId('file', file.id)
  if (uuid === undefined) throw new ApiError('FILE_NOT_FOUND', `There is no file "${id.slice(0, 64)}".`)
  return uuid
}

/** As an upload of the account, that stays until the batch must have ended as well. */
async function saveRequests(
  context: Context,
  { accountId, retention }: Pick<Caller, 'accountId' | 'retention'>,
  requests: BatchRequest[],
  needed: Date,
): Promise<string> {
  const id = newId()
  const { files_days: own = context.config.RETENTION_FILES_DAYS } = shortestRetention(retention) ?? {}
  const days = Math.min(own, context.config.RETENTION_FILES_DAYS)
  await saveFile(context.db, context.store, {
    id,
    accountId,
    purpose: 'batch',
    name: 'requests.jsonl',
    contentType: 'application/jsonl',
    source: Buffer.from(requests.map((request) => `${JSON.stringify(request)}\n`).join('')),
    maxBytes: Number.MAX_SAFE_INTEGER,
    expiresAt: new Date(Math.max(databaseNow() + days * dayMs, needed.getTime())),
  })
  return id
}

/** Nothing was made of them: the batch of an earlier request has its own. */
async function dropRequests({ db, store }: Context, accountId: string, id: string): Promise<void> {
  await removeFile(db, store, { id: toTypeId('file', id), accountId })
}

/** A day after its window: by then its answers are written. */
function neededUntil(completionWindow: string): Date {
  return new Date(databaseNow() + hoursOf(completionWindow) * 3_600_000 + dayMs)
}

const dayMs = 86_400_000
