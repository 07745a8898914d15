import { constants } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { join, parse } from 'node:path'
import type { FileValue } from '@millrace/models/define-model'
import { isFileValue } from '@millrace/providers/output-parts'

/** Copies the files of an output into a folder, where none is overwritten. Answers the output as text, files by their names. */
export async function saveOutput(output: unknown, folder: string): Promise<string> {
  const saved = await withNames(output, folder)
  if (typeof saved === 'string') return saved
  const names = Array.isArray(saved) && saved.every((item) => typeof item === 'string')
  return names && isFileValue((output as unknown[])[0]) ? saved.join('\n') : JSON.stringify(saved, null, 2)
}

async function withNames(value: unknown, folder: string): Promise<unknown> {
  if (isFileValue(value)) return save(value, folder)
  if (typeof value !== 'object' || value === null) return value
  // One after the other: two of one name are not to race for it.
  const entries: [string, unknown][] = []
  for (const [key, item] of Object.entries(value)) entries.push([key, await withNames(item, folder)])
  return Array.isArray(value) ? entries.map(([, item]) => item) : Object.fromEntries(entries)
}

async function save({ $file, name }: FileValue, folder: string): Promise<string> {
  const { name: stem, ext } = parse(name)
  for (let count = 1; ; count++) {
    const free = count === 1 ? name : `${stem}-${count}${ext}`
    try {
      await copyFile($file, join(folder, free), constants.COPYFILE_EXCL)
      return free
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
  }
}
