import { createReadStream } from 'node:fs'
import { fileMarker } from '@millrace/contract/file-marker'
import { databaseNow } from '@millrace/database/clock'
import { newId } from '@millrace/database/ids'
import { sanitise } from '@millrace/database/sanitise'
import type { PredictionFile } from '@millrace/database/tables'
import type { Usage } from '@millrace/ledger/price'
import { anyBytes, typeOfName } from '@millrace/media/file-types'
import type { FileValue } from '@millrace/models/define-model'
import type { ModelType } from '@millrace/models/model-types'
import { TooLargeError } from '@millrace/outbound/byte-limit'
import { saveFile } from '@millrace/storage/files'
import type { FileStore } from '@millrace/storage/store'
import { createFileCount } from './count-usage.ts'
import { isLost } from './lease.ts'
import { outlast } from './outlast.ts'
import type { Run } from './run.ts'
import type { Worker } from './worker.ts'

/**
 * Makes what a model returned fit to be stored: its files go to storage and become markers, JSON too large to show
 * becomes a file itself, characters that Postgres refuses are replaced. Throws OutputError when it cannot be kept, and
 * StorageError when it cannot be kept now.
 */
export async function keepOutput(worker: Worker, run: Run, raw: unknown): Promise<KeptOutput> {
  const { type } = run.model.description
  const files: PredictionFile[] = []
  const count = createFileCount(run)
  const keep = async (file: OutputFile): Promise<string> => {
    const kept = await saveOutput(worker, run, file)
    files.push(kept)
    await count?.add(file)
    return fileMarker(kept.id)
  }
  const marked = await withMarkers(raw, keep)
  const shown = sanitise(madeOfFiles.has(type) && isFile(raw) ? [marked] : marked)
  const json = JSON.stringify(shown) ?? 'null'
  const bytes = Buffer.byteLength(json)
  if (bytes > maxOutputBytes) {
    throw new OutputError(
      `The output is larger than ${maxOutputBytes >> 20} MB: return large results as files`,
    )
  }
  const counted = count?.usage() ?? {}
  if (bytes <= maxInlineBytes) return { output: json, files, counted }
  const marker = await keep({
    source: Buffer.from(json),
    name: 'output.json',
    contentType: 'application/json',
  })
  return { output: JSON.stringify(marker), files, counted }
}

/** The output cannot be kept, by the model's fault. */
export class OutputError extends Error {}

/** The storage does not take files, by nobody's fault who made the prediction. */
export class StorageError extends Error {}

async function withMarkers(value: unknown, keep: (file: OutputFile) => Promise<string>): Promise<unknown> {
  if (isFile(value)) {
    const { $file, name, contentType } = value
    return keep({ source: $file, name, contentType: contentType ?? typeByName(name) })
  }
  // One after the other, so that the files are listed in the order of the output.
  if (Array.isArray(value)) {
    const items: unknown[] = []
    for (const item of value) items.push(await withMarkers(item, keep))
    return items
  }
  if (typeof value !== 'object' || value === null) return value
  const entries: [string, unknown][] = []
  for (const [key, item] of Object.entries(value)) entries.push([key, await withMarkers(item, keep)])
  return Object.fromEntries(entries)
}

/** For files whose model did not say. Browsers take text for Latin-1 unless they are told. */
function typeByName(name: string): string {
  const type = typeOfName(name) ?? anyBytes
  return type.startsWith('text/') ? `${type}; charset=utf-8` : type
}

async function saveOutput(
  { lifecycle, store, config, log }: Worker,
  { claim, hold }: Run,
  { source, name, contentType }: OutputFile,
): Promise<PredictionFile> {
  const id = newId()
  const ownDays = claim.row.retention?.files_days ?? config.fileDays
  try {
    const save = () =>
      saveFile(lifecycle.db, tellingStore(store), {
        id,
        accountId: claim.row.account_id,
        predictionId: claim.id,
        purpose: 'output',
        name,
        contentType,
        source: typeof source === 'string' ? createReadStream(source) : source,
        maxBytes: config.maxFileBytes,
        expiresAt: new Date(databaseNow() + Math.min(config.fileDays, ownDays) * 86_400_000),
      })
    const saved = await outlast(log, save, () => isLost(hold))
    return { id: saved.id, name: saved.name, type: saved.contentType, size: saved.bytes, role: 'output' }
  } catch (error) {
    if (!(error instanceof TooLargeError)) throw error
    throw new OutputError(`The output file ${name}: ${error.message}`, { cause: error })
  }
}

/** A store whose failures are not taken for the database's, which alone are waited out. */
function tellingStore(store: FileStore): FileStore {
  return {
    ...store,
    write: (id, source) =>
      store.write(id, source).catch((cause: unknown) => {
        throw cause instanceof TooLargeError
          ? cause
          : new StorageError('The output could not be stored: the file storage of the service failed.', {
              cause,
            })
      }),
  }
}

function isFile(value: unknown): value is FileValue {
  return typeof value === 'object' && value !== null && '$file' in value && typeof value.$file === 'string'
}

/** Their output is always an array of URLs, also for one file. */
const madeOfFiles: ReadonlySet<ModelType> = new Set(['image', 'video', 'audio', 'music'])

/** What is larger is kept as a file. */
export const maxInlineBytes = 1024 * 1024
const maxOutputBytes = 8 * 1024 * 1024

/** JSON text with markers in it, and the files they stand for. */
export interface KeptOutput {
  output: string
  files: PredictionFile[]
  /** What its files come to, where that has a price. */
  counted: Usage
}

interface OutputFile {
  source: string | Uint8Array
  name: string
  contentType: string
}
