import { constants } from 'node:fs'
import { copyFile, mkdir } from 'node:fs/promises'
import { join, parse } from 'node:path'
import type { FileValue } from '@millrace/models/define-model'
import { isFileValue } from '@millrace/providers/output-parts'
import { seenFrom } from './seen-from.ts'

/**
 * Copies the files of an output into a folder, which is made when there is one to copy, and overwrites none. Answers
 * the output as text, each file by its path as it is written from `here`. Throws when a file cannot be saved.
 */
export async function saveOutput(output: unknown, { folder, here }: Place): Promise<string> {
  const saved = await withPaths(output, async (file) => {
    try {
      await mkdir(folder, { recursive: true })
      return seenFrom(here, join(folder, await save(file, folder)))
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new Error(`The output cannot be saved in ${seenFrom(here, folder)}: ${reason}`)
    }
  })
  if (typeof saved === 'string') return saved
  const paths = Array.isArray(saved) && saved.every((item) => typeof item === 'string')
  return paths && isFileValue((output as unknown[])[0]) ? saved.join('\n') : JSON.stringify(saved, null, 2)
}

async function withPaths(value: unknown, saved: (file: FileValue) => Promise<string>): Promise<unknown> {
  if (isFileValue(value)) return saved(value)
  if (typeof value !== 'object' || value === null) return value
  // One after the other: two of one name are not to race for it.
  const entries: [string, unknown][] = []
  for (const [key, item] of Object.entries(value)) entries.push([key, await withPaths(item, saved)])
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

interface Place {
  folder: string
  here: string
}
