import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Busboy, type BusboyInstance } from '@fastify/busboy'
import { sanitiseText } from '@millrace/database/sanitise'
import { ApiError } from './api-error.ts'

/** Whether a body says that it is multipart/form-data. */
export function isForm({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  return /^multipart\/form-data/i.test(headers['content-type'] ?? '')
}

/**
 * Reads a form: its fields, and what `save` makes of the first file in the part of that name, while it arrives; `save`
 * gets the fields that came before it. Answers with the names of the files that were dropped, too. Throws INVALID_REQUEST, and what `save` throws.
 */
export async function receiveForm<Saved>(
  request: IncomingMessage,
  part: string,
  save: (file: FormFile, before: FormFields) => Promise<Saved>,
): Promise<{ fields: FormFields; saved: Saved | undefined; others: string[] }> {
  const parser = parserOf(request)
  const fields: FormFields = []
  const others: string[] = []
  let saving: Promise<Saved> | undefined
  parser.on('field', (name, value) => fields.push([sanitiseText(name), sanitiseText(value)]))
  parser.on('file', (field, source, name, _encoding, contentType) => {
    if (field !== part || saving) {
      others.push(sanitiseText(field))
      source.resume()
      return
    }
    saving = save({ name, contentType, source }, fields)
    // The rest of a file that is too large is read and dropped, so that the parser can finish.
    saving.catch(() => source.resume())
  })
  await pipeline(request, parser).catch((error: unknown) => {
    throw new ApiError('INVALID_REQUEST', 'The multipart body could not be read.', {
      details: error instanceof Error ? error.message : String(error),
    })
  })
  return { fields, saved: await saving, others }
}

function parserOf({ headers }: IncomingMessage): BusboyInstance {
  try {
    return new Busboy({
      headers: { ...headers, 'content-type': headers['content-type'] ?? '' },
      limits: { fields: 50, files: 5 },
    })
  } catch {
    throw new ApiError('INVALID_REQUEST', 'The multipart body has no boundary.')
  }
}

/** Names and values in the order in which they came. */
export type FormFields = [name: string, value: string][]

export interface FormFile {
  name: string | undefined
  contentType: string
  source: Readable
}
