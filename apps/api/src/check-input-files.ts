import { buffer } from 'node:stream/consumers'
import { parseDataUrl } from '@millrace/media/data-url'
import { headBytes, typeOfBytes } from '@millrace/media/type-of-bytes'
import type { ModelDescription } from '@millrace/models/description'
import type { FileField } from '@millrace/models/file-fields'
import { tooManyFiles } from '@millrace/models/file-limits'
import { brokenFileLimit, limitsFiles } from '@millrace/storage/file-limits'
import { findFile } from '@millrace/storage/files'
import { ApiError } from './api-error.ts'
import type { Context } from './context.ts'

/**
 * Checks the files of an input against what the model takes, as far as they are here: data URLs and uploads. What is
 * fetched by its URL is checked by the worker. Throws INVALID_INPUT, which names the field and the limit.
 */
export async function checkInputFiles(
  context: Context,
  { inputFiles }: ModelDescription,
  fields: FileField[],
): Promise<void> {
  const many = tooManyFiles(inputFiles, fields)
  if (many) refuse(many.field, many.problem)
  if (!limitsFiles(inputFiles)) return
  for (const field of fields) {
    const file = await lookInto(context, field.url, inputFiles.contentTypes !== undefined)
    const problem = file && brokenFileLimit(inputFiles, file)
    if (problem !== undefined) refuse(field, problem)
  }
}

async function lookInto(
  { db, store, fileUrls }: Context,
  url: string,
  needsType: boolean,
): Promise<{ bytes: number; type: string } | undefined> {
  const data = parseDataUrl(url)
  if (data) {
    const head = data.bytes.subarray(0, headBytes)
    const type = needsType ? await typeOfBytes(head, data.contentType) : data.contentType
    return { bytes: data.bytes.length, type }
  }
  const ours = fileUrls.ours(url)
  const file = ours === undefined ? undefined : await findFile(db, { id: ours })
  if (!file) return undefined
  const { bytes, contentType } = file
  if (!needsType) return { bytes, type: contentType }
  // An empty file has no first byte to ask for.
  const source = bytes === 0 ? undefined : await store.open(file.id, { start: 0, end: headBytes - 1 })
  return { bytes, type: await typeOfBytes(source ? await buffer(source) : Buffer.of(), contentType) }
}

function refuse({ path }: FileField, problem: string): never {
  const field = ['input', ...path].join('.')
  throw new ApiError('INVALID_INPUT', `${field}: ${problem}.`, {
    fields: [{ path: field, message: problem }],
  })
}
