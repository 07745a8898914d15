import { fileMarker } from '@millrace/contract/file-marker'
import type { PredictionFile } from '@millrace/database/tables'
import type { ModelDescription } from '@millrace/models/description'
import { fileFields } from '@millrace/models/file-fields'
import { parseDataUrl } from '@millrace/storage/data-url'
import { findFile, type StoredFile, saveFile } from '@millrace/storage/files'
import { ApiError } from './api-error.ts'
import type { Context } from './context.ts'

/**
 * Takes the files of an input: our own signed URLs and data URLs over 16 KB become markers of stored files, other URLs
 * in file fields must be reachable. Throws INVALID_FILE_URL and names the field.
 */
export async function takeFiles(
  context: Context,
  accountId: string,
  model: ModelDescription,
  input: Record<string, unknown>,
): Promise<{ input: Record<string, unknown>; files: PredictionFile[] }> {
  for (const { path, url } of fileFields(model.input_schema, input)) {
    await checkFileUrl(context, path.join('.'), url)
  }
  const files: PredictionFile[] = []
  const taken = await replaced(input, async (text) => {
    const file = await stored(context, accountId, text)
    if (!file) return text
    files.push({ id: file.id, name: file.name, type: file.contentType, size: file.bytes, role: 'input' })
    return fileMarker(file.id)
  })
  return { input: taken as Record<string, unknown>, files }
}

async function checkFileUrl(context: Context, path: string, url: string): Promise<void> {
  const problem = await problemOf(context, url)
  if (problem === undefined) return
  throw new ApiError('INVALID_FILE_URL', `input.${path}: ${problem}.`, {
    fields: [{ path: `input.${path}`, message: problem }],
  })
}

async function problemOf({ db, fileUrls, guard }: Context, url: string): Promise<string | undefined> {
  const ours = fileUrls.ours(url)
  if (ours) return (await findFile(db, { id: ours })) ? undefined : 'The file was deleted or has expired'
  if (/^data:/i.test(url)) return parseDataUrl(url) ? undefined : 'The data URL cannot be decoded'
  return (await guard.check(url))?.message
}

/** The stored file that a string of the input stands for, storing it first when it is a large data URL. */
async function stored(context: Context, accountId: string, text: string): Promise<StoredFile | undefined> {
  const { db, store, fileUrls, config } = context
  const ours = text.startsWith(context.config.PUBLIC_URL) ? fileUrls.ours(text) : undefined
  if (ours) return findFile(db, { id: ours })
  if (text.length <= inlineDataUrl || !/^data:/i.test(text)) return undefined
  const data = parseDataUrl(text)
  if (!data) return undefined
  return saveFile(db, store, {
    accountId,
    purpose: 'input',
    name: `input.${/\/([a-z0-9]+)/.exec(data.contentType)?.[1] ?? 'bin'}`,
    contentType: data.contentType,
    source: data.bytes,
    maxBytes: config.MAX_FILE_BYTES,
    expiresAt: new Date(Date.now() + inputDays * 86_400_000),
  })
}

async function replaced(value: unknown, replace: (text: string) => Promise<string>): Promise<unknown> {
  if (typeof value === 'string') return replace(value)
  if (Array.isArray(value)) return Promise.all(value.map((item) => replaced(item, replace)))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(
    async ([key, item]) => [key, await replaced(item, replace)] as const,
  )
  return Object.fromEntries(await Promise.all(entries))
}

/** Data URLs up to this many characters stay in the input. */
const inlineDataUrl = 16 * 1024

/** Inputs that were stored on receipt live this long. */
const inputDays = 30
