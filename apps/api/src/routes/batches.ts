import {
  cancelBatch as askToCancel,
  type BatchRow,
  findBatch,
  listBatches as findBatches,
  presentBatch,
  createBatch as storeBatch,
} from '@millrace/batches/batches'
import type { BatchRequest } from '@millrace/contract/batch'
import { endpoints } from '@millrace/contract/endpoints'
import { databaseNow } from '@millrace/database/clock'
import { fromTypeId, newId } from '@millrace/database/ids'
import { keepFile, saveFile } from '@millrace/storage/files'
import { ApiError } from '../api-error.ts'
import { badParameter } from '../bad-parameter.ts'
import type { Context } from '../context.ts'
import { idempotencyOf } from '../idempotency-key.ts'
import { route } from '../route.ts'

export const createBatch = route(
  endpoints.createBatch,
  async ({ context, caller, body, request, raw, response }) => {
    const { endpoint = null, completion_window: completionWindow, metadata } = body
    const { accountId, keyId } = caller
    const inputFileId =
      body.requests === undefined
        ? await ownFile(context, accountId, body.input_file_id ?? '')
        : await saveRequests(context, accountId, body.requests)
    const idempotency = idempotencyOf(request, raw)
    const batch = { accountId, keyId, endpoint, inputFileId, completionWindow, metadata, idempotency }
    const made = await storeBatch(context.db, batch)
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
async function ownFile(context: Context, accountId: string, id: string): Promise<string> {
  const file = await keepFile(context.db, { id, accountId }, new Date(databaseNow() + longestMs))
  const uuid = file && fromTypeId('file', file.id)
  if (uuid === undefined) throw new ApiError('FILE_NOT_FOUND', `There is no file "${id.slice(0, 64)}".`)
  return uuid
}

async function saveRequests(context: Context, accountId: string, requests: BatchRequest[]): Promise<string> {
  const id = newId()
  await saveFile(context.db, context.store, {
    id,
    accountId,
    purpose: 'batch',
    name: 'requests.jsonl',
    contentType: 'application/jsonl',
    source: Buffer.from(requests.map((request) => `${JSON.stringify(request)}\n`).join('')),
    maxBytes: Number.MAX_SAFE_INTEGER,
    expiresAt: new Date(databaseNow() + longestMs),
  })
  return id
}

/** The longest completion window, and a day to write the answers. */
const longestMs = 8 * 86_400_000
