import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Busboy, type BusboyInstance } from '@fastify/busboy'
import { databaseNow } from '@millrace/database/clock'
import { sanitiseText } from '@millrace/database/sanitise'
import { nearest } from '@millrace/models/nearest'
import { TooLargeError } from '@millrace/outbound/byte-limit'
import { type StoredFile, saveFile } from '@millrace/storage/files'
import type { Request } from 'express'
import { ApiError } from './api-error.ts'
import type { Context } from './context.ts'

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
    return /^multipart\/form-data/i.test(type)
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
    if (error instanceof TooLargeError) {
      throw new ApiError(
        'PAYLOAD_TOO_LARGE',
        `A file may have at most ${context.config.MAX_FILE_BYTES} bytes.`,
      )
    }
    throw error
  }
}

async function receiveMultipart(context: Context, request: Request, target: UploadTarget): Promise<Upload> {
  const parser = parserOf(request)
  // A field counts for the file that follows it: the file is stored while it arrives.
  let purpose = target.purpose
  let saving: Promise<StoredFile> | undefined
  const others: string[] = []
  parser.on('field', (name, value) => {
    if (name === 'purpose') purpose = sanitiseText(value).slice(0, 64)
    else others.push(sanitiseText(name))
  })
  parser.on('file', (field, source, name, _encoding, contentType) => {
    if (field !== 'file' || saving) {
      others.push(sanitiseText(field))
      source.resume()
      return
    }
    saving = save(
      context,
      { ...target, purpose },
      { name: target.filename ?? name ?? 'upload', contentType, source },
    )
    // The rest of a file that is too large is read and dropped, so that the parser can finish.
    saving.catch(() => source.resume())
  })
  await pipeline(request, parser).catch((error: unknown) => {
    throw new ApiError('INVALID_REQUEST', 'The multipart body could not be read.', {
      details: error instanceof Error ? error.message : String(error),
    })
  })
  if (saving) return { file: await saving, others }
  const near = nearest('file', others)
  const hint = near === undefined ? '' : ` You sent "${near}", did you mean "file"?`
  throw new ApiError('INVALID_REQUEST', `The multipart body has no part named "file".${hint}`)
}

function parserOf(request: Request): BusboyInstance {
  try {
    return new Busboy({
      headers: { ...request.headers, 'content-type': request.headers['content-type'] ?? '' },
      limits: { fields: 20, files: 5 },
    })
  } catch {
    throw new ApiError('INVALID_REQUEST', 'The multipart body has no boundary.')
  }
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
