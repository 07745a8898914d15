import { buffer } from 'node:stream/consumers'
import { markedFile } from '@millrace/contract/file-marker'
import type { PredictionFile } from '@millrace/database/tables'
import type { PredictionRow } from '@millrace/lifecycle/present'
import { findFile, type StoredFile } from '@millrace/storage/files'
import { ApiError } from '../../api-error.ts'
import type { Context } from '../../context.ts'

/** The files of an output, in its order; those of a kind (`audio/`) where there are any. Throws INVALID_OUTPUT when there is none. */
export function outputFiles(row: PredictionRow, kind: string): [PredictionFile, ...PredictionFile[]] {
  const all = row.files.filter(({ role }) => role === 'output')
  const fitting = all.filter(({ type }) => type.startsWith(kind))
  const [first, ...others] = fitting.length > 0 ? fitting : all
  if (!first) throw new ApiError('INVALID_OUTPUT', `The model "${row.model}" answered without a file.`)
  return [first, ...others]
}

/** A file of an output as the store has it. Throws FILE_NOT_FOUND when its time is over. */
export async function storedFile(
  { db }: Context,
  { account_id: accountId }: PredictionRow,
  { id }: PredictionFile,
): Promise<StoredFile> {
  const file = await findFile(db, { id, accountId })
  if (!file) throw new ApiError('FILE_NOT_FOUND')
  return file
}

/** Some files' bytes in base64. Throws INVALID_OUTPUT for more than fits into an answer, FILE_NOT_FOUND. */
export async function inBase64({ store }: Context, files: PredictionFile[]): Promise<string[]> {
  const bytes = files.reduce((sum, { size }) => sum + size, 0)
  if (bytes > mostInline) {
    const reason = `The files have more than ${mostInline >> 20} MB together. Ask for "response_format": "url".`
    throw new ApiError('INVALID_OUTPUT', reason)
  }
  return Promise.all(
    files.map(async ({ id }) => {
      const source = await store.open(id)
      if (!source) throw new ApiError('FILE_NOT_FOUND')
      return (await buffer(source)).toString('base64')
    }),
  )
}

/** An output that is no file, also where it was so long that it is kept as one. */
export async function outputValue({ store }: Context, row: PredictionRow): Promise<unknown> {
  const id = typeof row.output === 'string' ? markedFile(row.output) : undefined
  const kept = row.files.find((file) => file.id === id && file.type === 'application/json')
  if (!kept) return row.output
  const source = await store.open(kept.id)
  if (!source) throw new ApiError('FILE_NOT_FOUND')
  return JSON.parse((await buffer(source)).toString('utf8'))
}

const mostInline = 64 * 1024 * 1024
