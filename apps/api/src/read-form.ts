import { createHash } from 'node:crypto'
import { Transform } from 'node:stream'
import type { Caller } from '@millrace/accounts/api-keys'
import { databaseNow } from '@millrace/database/clock'
import { newId } from '@millrace/database/ids'
import { isRecord } from '@millrace/models/is-record'
import { removeFile, type StoredFile, saveFile } from '@millrace/storage/files'
import type { Request } from 'express'
import type { Context } from './context.ts'
import { type FormFields, type FormFile, receiveForm } from './receive-form.ts'
import { asTooLarge } from './receive-upload.ts'

/**
 * Reads the body of a request as a form. Its file is stored as an input of a prediction that is yet to be made, with
 * which it is deleted. Throws INVALID_REQUEST, PAYLOAD_TOO_LARGE, and keeps no file then.
 */
export async function readForm(
  context: Context,
  caller: Caller,
  request: Request,
  part: string,
): Promise<ReadForm> {
  const predictionId = newId()
  const digest = createHash('sha256')
  let saving: Promise<StoredFile> | undefined
  try {
    const { fields, saved: file } = await receiveForm(request, part, (received) => {
      saving = save(context, { accountId: caller.accountId, predictionId }, received, digest)
      return saving
    })
    // Of a form that is sent again only what divides its parts is new.
    const said = Buffer.from(JSON.stringify([fields, file?.name, file && digest.digest('hex')]))
    if (!file) return { said, body: bodyOf(fields), upload: undefined }
    return {
      said,
      body: bodyOf(fields),
      upload: { file, predictionId, discard: () => discard(context, file) },
    }
  } catch (error) {
    request.resume()
    await saving?.then((file) => discard(context, file)).catch(() => undefined)
    throw asTooLarge(context, error)
  }
}

function save(
  { db, store, config }: Context,
  owner: { accountId: string; predictionId: string },
  { name = 'upload', contentType, source }: FormFile,
  digest: ReturnType<typeof createHash>,
): Promise<StoredFile> {
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      digest.update(chunk)
      done(null, chunk)
    },
  })
  source.on('error', (error) => counted.destroy(error))
  return saveFile(db, store, {
    ...owner,
    purpose: 'input',
    name,
    contentType,
    source: source.pipe(counted),
    maxBytes: config.MAX_FILE_BYTES,
    expiresAt: new Date(databaseNow() + config.RETENTION_FILES_DAYS * 86_400_000),
  })
}

async function discard({ db, store, log }: Context, { id, accountId }: StoredFile): Promise<void> {
  await removeFile(db, store, { id, accountId }).catch((error: unknown) =>
    log.debug({ err: error }, 'a file that nobody needs stays until it expires'),
  )
}

/** Fields as JSON would have them: `a[]` is an item of a list, `a[b]` the field b of an object. */
function bodyOf(fields: FormFields): Record<string, unknown> {
  const body = new Map<string, unknown>()
  for (const [field, value] of fields) {
    const [, name = field, inner] = /^([^[\]]+)\[([^[\]]*)\]$/.exec(field) ?? []
    const before = body.get(name)
    if (inner === undefined) body.set(name, value)
    else if (inner === '') body.set(name, [...(Array.isArray(before) ? before : []), value])
    else body.set(name, { ...(isRecord(before) ? before : {}), [inner]: value })
  }
  return Object.fromEntries(body)
}

interface ReadForm {
  /** All that the form says, the same whenever it is sent: for the fingerprint of an Idempotency-Key. */
  said: Buffer
  body: Record<string, unknown>
  upload: Upload | undefined
}

/** A file that came along with a request. */
export interface Upload {
  file: StoredFile
  /** Of the prediction that it is for. */
  predictionId: string
  /** Removes it: no prediction was made. */
  discard(): Promise<void>
}
