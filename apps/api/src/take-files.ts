import { fileMarker } from '@millrace/contract/file-marker'
import type { PredictionFile } from '@millrace/database/tables'
import { isDataUrl, parseDataUrl } from '@millrace/media/data-url'
import { extensionOf } from '@millrace/media/file-types'
import type { ModelDescription } from '@millrace/models/description'
import { type FileField, fileFields, replaceFiles } from '@millrace/models/file-fields'
import { TooLargeError } from '@millrace/outbound/byte-limit'
import { copyFile, findFile, keepFile, type StoredFile, saveFile } from '@millrace/storage/files'
import { ApiError } from './api-error.ts'
import { checkInputFiles } from './check-input-files.ts'
import type { Context } from './context.ts'

/**
 * Takes the files of an input: in file fields our own signed URLs and data URLs over 16 KB become markers of stored
 * files, other URLs must be reachable. Throws INVALID_FILE_URL or, where the model takes no such file, INVALID_INPUT, and names the field.
 *
 * Only file fields: the worker turns a marker back into a file there and nowhere else. A data URL in a field that the
 * schema calls a string, or does not describe, is the model's text and reaches it as it was sent.
 */
export async function takeFiles(
  context: Context,
  owner: FileOwner,
  model: ModelDescription,
  input: Record<string, unknown>,
): Promise<{ input: Record<string, unknown>; files: PredictionFile[] }> {
  const fields = fileFields(model.input_schema, input)
  // Nothing is stored for an input that is refused.
  for (const field of fields) refuse(field, await problemOf(context, field.url))
  await checkInputFiles(context, model, fields)
  const taken = await Promise.all(
    fields.map(async (field) => ({ path: field.path, file: await take(context, owner, field) })),
  )
  const stored = taken.flatMap(({ path, file }) => (file ? [{ path, file }] : []))
  return {
    input: replaceFiles(
      input,
      stored.map(({ path, file }) => ({ path, value: fileMarker(file.id) })),
    ),
    files: stored.map(({ file: { id, name, contentType, bytes } }) => ({
      id,
      name,
      type: contentType,
      size: bytes,
      role: 'input',
    })),
  }
}

function refuse({ path }: FileField, problem: string | undefined): void {
  if (problem === undefined) return
  const field = ['input', ...path].join('.')
  throw new ApiError('INVALID_FILE_URL', `${field}: ${problem}.`, {
    fields: [{ path: field, message: problem }],
  })
}

async function problemOf({ db, fileUrls, guard }: Context, url: string): Promise<string | undefined> {
  if (isDataUrl(url)) return parseDataUrl(url) ? undefined : 'The data URL cannot be decoded'
  const ours = fileUrls.ours(url)
  if (ours) return (await findFile(db, { id: ours })) ? undefined : fileGone
  if (fileUrls.wasOurs(url)) return urlOver
  return (await guard.check(url))?.message
}

/** The stored file that a file field stands for; undefined when the worker is to fetch or decode it. */
async function take(context: Context, owner: FileOwner, field: FileField): Promise<StoredFile | undefined> {
  try {
    if (isDataUrl(field.url)) return await storeDataUrl(context, owner, field.url)
    const ours = context.fileUrls.ours(field.url)
    if (ours === undefined) return undefined
    const file = await ownFile(context, owner, ours)
    if (!file) refuse(field, fileGone)
    return file
  } catch (error) {
    if (error instanceof TooLargeError) refuse(field, error.message)
    throw error
  }
}

async function storeDataUrl(
  { db, store, config }: Context,
  { accountId, predictionId, until }: FileOwner,
  url: string,
): Promise<StoredFile | undefined> {
  const data = url.length > inlineDataUrl ? parseDataUrl(url) : undefined
  if (!data) return undefined
  return saveFile(db, store, {
    accountId,
    predictionId,
    purpose: 'input',
    name: `input${extensionOf(data.contentType) || '.bin'}`,
    contentType: data.contentType,
    source: data.bytes,
    maxBytes: config.MAX_FILE_BYTES,
    expiresAt: until,
  })
}

/**
 * The account's own file behind a signed URL. An upload, and what came along with this prediction, stays where it is,
 * until `until` at least. What may go before this prediction has run is copied: a file of another account, whose URL was
 * enough to read it, and one of another prediction, which is deleted with it.
 */
async function ownFile(
  { db, store, config }: Context,
  { accountId, predictionId, until }: FileOwner,
  id: string,
): Promise<StoredFile | undefined> {
  const file = await findFile(db, { id })
  if (!file) return undefined
  const isFree = file.predictionId === null || file.predictionId === predictionId
  if (file.accountId === accountId && isFree) return keepFile(db, { id, accountId }, until)
  return copyFile(db, store, file, {
    accountId,
    predictionId,
    maxBytes: config.MAX_FILE_BYTES,
    expiresAt: until,
  })
}

const urlOver = 'The time of this file URL is over; get the prediction or the file again for a new one'
const fileGone = 'The file was deleted or has expired'

/** Data URLs up to this many characters stay in the input. */
const inlineDataUrl = 16 * 1024

/** Whose the files of an input become, and how long they are needed. */
interface FileOwner {
  accountId: string
  predictionId: string
  until: Date
}
