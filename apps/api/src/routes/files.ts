import { endpoints } from '@millrace/contract/endpoints'
import type { File } from '@millrace/contract/file'
import { fromTypeId } from '@millrace/database/ids'
import { findFile, listFiles as findFiles, removeFile, type StoredFile } from '@millrace/storage/files'
import { ApiError } from '../api-error.ts'
import type { Context } from '../context.ts'
import { ignoredFields, nameIgnored } from '../ignored-fields.ts'
import { pageOf, paginationOf } from '../paging.ts'
import { receiveUpload } from '../receive-upload.ts'
import { route } from '../route.ts'
import { shortestRetention } from '../shortest-retention.ts'

export const uploadFile = route(
  endpoints.uploadFile,
  async ({ context, caller, query, request, response }) => {
    const { files_days, data_days } = shortestRetention(caller.retention) ?? {}
    const target = {
      accountId: caller.accountId,
      purpose: query.purpose ?? 'input',
      filename: query.filename,
      days: files_days ?? data_days ?? context.config.RETENTION_FILES_DAYS,
    }
    const { file, others } = await receiveUpload(context, request, target)
    const known = ['file', ...Object.keys(endpoints.uploadFile.query.shape)]
    nameIgnored(response, ignoredFields([...Object.keys(request.query), ...others], known))
    return fileOf(context, file)
  },
)

export const listFiles = route(endpoints.listFiles, async ({ context, caller, query }) => {
  const page = pageOf(query, 'file')
  const found = await findFiles(context.db, caller.accountId, page)
  const byUuid = { ...found, rows: found.rows.map((file) => ({ id: fromTypeId('file', file.id) ?? '' })) }
  return {
    data: found.rows.map((file) => fileOf(context, file)),
    pagination: paginationOf(page, byUuid, 'file'),
  }
})

export const getFile = route(endpoints.getFile, async ({ context, caller, params }) => {
  const file = await findFile(context.db, { id: params.id, accountId: caller.accountId })
  if (!file) throw new ApiError('FILE_NOT_FOUND')
  return fileOf(context, file)
})

export const deleteFile = route(endpoints.deleteFile, async ({ context, caller, params }) => {
  const removed = await removeFile(context.db, context.store, { id: params.id, accountId: caller.accountId })
  if (!removed) throw new ApiError('FILE_NOT_FOUND')
  return { id: params.id, object: 'file', deleted: true }
})

function fileOf({ links }: Context, file: StoredFile): File {
  return {
    id: file.id,
    object: 'file',
    bytes: file.bytes,
    created_at: Math.floor(file.createdAt.getTime() / 1000),
    filename: file.name,
    purpose: file.purpose,
    url: links.file(file),
    content_type: file.contentType,
    expires_at: file.expiresAt && Math.floor(file.expiresAt.getTime() / 1000),
  }
}
