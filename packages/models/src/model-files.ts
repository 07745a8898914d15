import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import type { ModelDescription } from './description.ts'

/**
 * The model files of a folder, sorted. Only the folder itself is read: what models share lives in folders below it.
 * Rejects when the folder cannot be read.
 */
export async function listModelFiles(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true })
  return entries
    .filter((entry) => !entry.isDirectory() && isModelFile(entry.name))
    .map((entry) => join(dir, entry.name))
    .sort()
}

/** The files that decide what a model does, beside the one that describes it: what its command names in its folder. */
export function programsOf({ provider }: ModelDescription): string[] {
  if (provider.kind !== 'command') return []
  const { command, cwd } = provider
  return command.map((word) => resolve(cwd, word)).filter((path) => isWithin(path, cwd))
}

/** Changes with every change of one of the files that a look at them can tell. Cheap: no file is opened. */
export async function stampOf(files: readonly string[]): Promise<string> {
  const stamps = await Promise.all(
    files.map(async (file) => {
      const found = await stat(file).catch(() => undefined)
      return found?.isFile() ? `${found.mtimeMs} ${found.size} ${found.ino}` : 'none'
    }),
  )
  return stamps.join()
}

/** The bytes of a file. Rejects for what is none, such as a pipe, of which a read might never end. */
export async function readWhole(path: string): Promise<Buffer> {
  if (!(await stat(path)).isFile()) throw new Error('it is no regular file')
  return readFile(path)
}

/** The bytes of those that are files. */
export async function readFiles(files: readonly string[]): Promise<Buffer[]> {
  const read = await Promise.all(files.map((file) => readWhole(file).catch(() => undefined)))
  return read.filter((bytes) => bytes !== undefined)
}

function isModelFile(name: string): boolean {
  return (
    /\.(ts|mjs|json|ya?ml)$/.test(name) &&
    !/^[._]|\.d\.ts$|\.test\.ts$|^(package|package-lock|tsconfig)\.json$/.test(name)
  )
}

function isWithin(path: string, folder: string): boolean {
  const way = relative(folder, path)
  return way !== '' && !way.startsWith('..') && !isAbsolute(way) && dirname(path).startsWith(folder)
}
