import { createWriteStream } from 'node:fs'
import { mkdir, open, writeFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { markedFile } from '@millrace/contract/file-marker'
import type { Claim } from '@millrace/lifecycle/claim'
import { isDataUrl, parseDataUrl } from '@millrace/media/data-url'
import { extensionOf } from '@millrace/media/file-types'
import { headBytes, typeOfBytes } from '@millrace/media/type-of-bytes'
import { fileFields, replaceFiles } from '@millrace/models/file-fields'
import { FetchFileError, fetchFile } from '@millrace/outbound/fetch-file'
import { brokenFileLimit, limitsFiles } from '@millrace/storage/file-limits'
import { findFile } from '@millrace/storage/files'
import { checkInput, withSecrets } from './input-values.ts'
import { outlast } from './outlast.ts'
import type { ServedModel, Worker } from './worker.ts'

/**
 * The input as the model gets it: secrets unsealed, every file brought into the run's work folder and named by its
 * local path. A URL that its client gave stays one where the provider `wants` addresses, if it may be called. Throws
 * InputError, whose message is for the caller, when a file cannot be had.
 */
export async function prepareInput(worker: Worker, request: InputRequest): Promise<Record<string, unknown>> {
  const { claim, model, workDir } = request
  const { description } = model
  const given = withSecrets(worker, claim)
  // A fallback has defaults of its own.
  const checked = claim.row.served_by === null ? undefined : checkInput(description, given)
  const input = checked?.ok ? checked.input : given
  const fields = fileFields(description.input_schema, input)
  if (fields.length === 0) return input

  const folder = join(workDir, 'input')
  await mkdir(folder, { recursive: true })
  const replacements = await Promise.all(
    fields.map(async ({ path, url }, index) => {
      const place = { folder, index, field: path.join('.') }
      return { path, value: await bringFile(worker, request, url, place) }
    }),
  )
  return replaceFiles(input, replacements)
}

/** Something in the input cannot be used. */
export class InputError extends Error {}

async function bringFile(worker: Worker, request: InputRequest, url: string, place: Place): Promise<string> {
  const { inputFiles } = request.model.description
  // What is to be measured has to be here.
  if (staysAddress(worker, request, url) && !limitsFiles(inputFiles)) return allowed(worker, url, place)
  const { path, contentType } = await bring(worker, request, url, place)
  if (!limitsFiles(inputFiles)) return path
  const { bytes, head } = await beginningOf(path)
  const type = inputFiles.contentTypes ? await typeOfBytes(head, contentType) : contentType
  const problem = brokenFileLimit(inputFiles, { bytes, type })
  if (problem !== undefined) throw new InputError(`input.${place.field}: ${problem}`)
  return path
}

function staysAddress({ fileUrls }: Worker, { model }: InputRequest, url: string): boolean {
  return model.provider.wants === 'addresses' && /^https?:/i.test(url) && fileUrls.ours(url) === undefined
}

async function beginningOf(path: string): Promise<{ bytes: number; head: Buffer }> {
  const file = await open(path)
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0)
    return { bytes: (await file.stat()).size, head: buffer.subarray(0, bytesRead) }
  } finally {
    await file.close()
  }
}

async function bring(worker: Worker, request: InputRequest, url: string, place: Place): Promise<Brought> {
  const accountId = request.claim.row.account_id
  const marked = markedFile(url)
  if (marked !== undefined) return copyStored(worker, request, { id: marked, accountId }, place)

  const signed = worker.fileUrls.ours(url)
  if (signed !== undefined) return copyStored(worker, request, { id: signed }, place)

  if (isDataUrl(url)) return writeDataUrl(url, place)
  return download(worker, request, url, place)
}

/** Whoever fetches it instead of us is no way around the guard. */
async function allowed({ guard }: Worker, url: string, { field }: Place): Promise<string> {
  const refusal = await guard.check(url)
  if (refusal) throw new InputError(`input.${field}: ${refusal.message}`)
  return url
}

async function copyStored(
  { lifecycle, store, log }: Worker,
  { isLost }: InputRequest,
  key: { id: string; accountId?: string },
  place: Place,
): Promise<Brought> {
  const file = await outlast(log, () => findFile(lifecycle.db, key), isLost)
  const bytes = file && (await store.open(file.id))
  if (!bytes) throw new InputError(`input.${place.field}: The file does not exist any more; upload it again`)
  const path = pathFor(place, extname(file.name))
  await pipeline(bytes, createWriteStream(path))
  return { path, contentType: file.contentType }
}

async function writeDataUrl(url: string, place: Place): Promise<Brought> {
  const data = parseDataUrl(url)
  if (!data) throw new InputError(`input.${place.field}: The data URL cannot be read`)
  const path = pathFor(place, extensionOf(data.contentType))
  await writeFile(path, data.bytes)
  return { path, contentType: data.contentType }
}

async function download(
  { guard, config }: Worker,
  { signal, model }: InputRequest,
  url: string,
  place: Place,
): Promise<Brought> {
  const path = pathFor(place, extname(URL.parse(url)?.pathname ?? ''))
  const most = model.description.inputFiles.maxBytes ?? config.maxFileBytes
  const maxBytes = Math.min(config.maxFileBytes, most)
  try {
    const limits = { maxBytes, timeoutMs: fetchTimeoutMs, signal }
    const { contentType } = await fetchFile(guard, url, limits, path)
    return { path, contentType }
  } catch (error) {
    if (!(error instanceof FetchFileError)) throw error
    throw new InputError(`input.${place.field}: ${error.message}`, { cause: error })
  }
}

/** Programs look at extensions; the rest of a caller's name has no business in a path. */
function pathFor({ folder, index }: Place, extension: string): string {
  const safe = /^\.\w{1,10}$/.test(extension) ? extension : ''
  return join(folder, `${index}${safe.toLowerCase()}`)
}

const fetchTimeoutMs = 120_000

interface InputRequest {
  claim: Claim
  model: ServedModel
  workDir: string
  signal: AbortSignal
  isLost: () => boolean
}

/** A file in the run's folder, and what whoever sent it says it is. */
interface Brought {
  path: string
  contentType: string
}

interface Place {
  folder: string
  index: number
  field: string
}
