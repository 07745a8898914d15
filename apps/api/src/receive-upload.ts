import type { Readable } from 'node:stream'
import { databaseNow } from '@millrace/database/clock'
import { nearest } from '@millrace/models/nearest'
import { TooLargeError } from '@millrace/outbound/byte-limit'
import { type StoredFile, saveFile } from '@millrace/storage/files'
import type { Request } from 'express'
import { ApiError } from './api-error.ts'
import type { Context } from './context.ts'
import { isForm, receiveForm } from './receive-form.ts'

/**
 * Stores an upload: the `file` part of multipart/form-data, or the raw body. It streams to storage and is never held
 * in memory. Answers with the names of the parts that were not asked for, too. Throws INVALID_REQUEST, PAYLOAD_TOO_LARGE.
 */
export async function receiveUpload(
  context: Context,
  request: Request,
  target: UploadTarget,
): Promise<Upload> {
  const type = request.get('content-type') ?? defaultType
  try {
    return isForm(request)
      ? await receiveMultipart(context, request, target)
      : {
          file: await save(context, target, {
            name: target.filename ?? 'upload',
            contentType: type,
            source: request,
          }),
          others: [],
        }
  } catch (error) {
    request.resume()
    throw asTooLarge(context, error)
  }
}

/** What a file that is too large is refused with; any other error as it is. */
export function asTooLarge({ config }: Context, error: unknown): unknown {
  if (!(error instanceof TooLargeError)) return error
  return new ApiError('PAYLOAD_TOO_LARGE', `A file may have at most ${config.MAX_FILE_BYTES} bytes.`)
}

async function receiveMultipart(context: Context, request: Request, target: UploadTarget): Promise<Upload> {
  const {
    fields,
    saved,
    others: files,
  } = await receiveForm(request, 'file', ({ name, contentType, source }, before) => {
    // A field counts for the file that follows it: the file is stored while it arrives.
    const purpose = before.findLast(([field]) => field === 'purpose')?.[1].slice(0, 64)
    return save(
      context,
      { ...target, purpose: purpose ?? target.purpose },
      { name: target.filename ?? name ?? 'upload', contentType, source },
    )
  })
  const others = [...fields.map(([name]) => name).filter((name) => name !== 'purpose'), ...files]
  if (saved) return { file: saved, others }
  const near = nearest('file', others)
  const hint = near === undefined ? '' : ` You sent "${near}", did you mean "file"?`
  throw new ApiError('INVALID_REQUEST', `The multipart body has no part named "file".${hint}`)
}

function save(
  { db, store, config }: Context,
  target: UploadTarget,
  file: { name: string; contentType: string; source: Readable },
): Promise<StoredFile> {
  return saveFile(db, store, {
    ...file,
    accountId: target.accountId,
    purpose: target.purpose,
    maxBytes: config.MAX_FILE_BYTES,
    expiresAt: new Date(databaseNow() + Math.min(config.RETENTION_FILES_DAYS, target.days) * 86_400_000),
  })
}

const defaultType = 'application/octet-stream'

export interface Upload {
  file: StoredFile
  /** The names of the parts that were ignored. */
  others: string[]
}

export interface UploadTarget {
  accountId: string
  purpose: string
  filename?: string | undefined
  /** Kept for so many days, and no longer than the service keeps files. */
  days: number
}
