import { openAsBlob } from 'node:fs'
import { basename } from 'node:path'
import { isDataUrl, parseDataUrl } from '@millrace/media/data-url'
import { anyBytes, typeOfName } from '@millrace/media/file-types'
import { fileFields, replaceFiles } from '@millrace/models/file-fields'
import type { JsonSchema } from '@millrace/models/schema'
import { Failed, Unavailable } from './faults.ts'
import { addressOf } from './rehost.ts'

/**
 * The input as a cloud takes it, which can fetch nothing from here: URLs stay, small files travel inside as data URLs,
 * larger ones are uploaded first and go as the URL that `upload` answers.
 */
export async function carryFiles(
  input: Record<string, unknown>,
  schema: JsonSchema,
  upload: (file: CarriedFile) => Promise<string>,
): Promise<Record<string, unknown>> {
  const replacements = []
  for (const { path, url } of fileFields(schema, input)) {
    const file = await fileOf(url)
    const large = file !== undefined && file.bytes.size > inlineBytes
    replacements.push({ path, value: large ? await surely(upload(file)) : await addressOf(url) })
  }
  return replaceFiles(input, replacements)
}

async function fileOf(value: string): Promise<CarriedFile | undefined> {
  if (/^https?:/i.test(value)) return undefined
  if (!isDataUrl(value)) {
    return { bytes: await openAsBlob(value, { type: typeOfName(value) ?? anyBytes }), name: basename(value) }
  }
  // What a data URL holds may be shorter than its spelling, and never longer.
  if (value.length <= inlineBytes) return undefined
  const data = parseDataUrl(value)
  if (!data) throw new Failed('A data URL of the input cannot be read.')
  return { bytes: new Blob([new Uint8Array(data.bytes)], { type: data.contentType }), name: 'file' }
}

/** An upload that may have happened costs nothing, unlike a job. */
async function surely<T>(deed: Promise<T>): Promise<T> {
  try {
    return await deed
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error
    throw new Unavailable(error.message, { ...error.about, uncertain: false }, error.cause)
  }
}

/** Both clouds advise URLs above, and data URLs below. */
const inlineBytes = 256 * 1024

/** A file of an input: its bytes know their type. */
export interface CarriedFile {
  bytes: Blob
  name: string
}
