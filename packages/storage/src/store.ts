import { randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { access, constants, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { openBucket } from './s3-store.ts'

/**
 * Opens the place where bytes live: a folder (`file:///var/lib/millrace/files`) or a bucket (`s3://bucket/prefix`) that
 * all processes share. Nothing is asked of it before its first use, or `check`.
 */
export function openStore(storageUrl: string): FileStore {
  const url = URL.parse(storageUrl)
  if (url?.protocol === 'file:') return openFolder(fileURLToPath(url))
  if (url?.protocol === 's3:') return openBucket(url)
  throw new Error(
    `STORAGE_URL "${url ? `${url.protocol}…` : storageUrl}" is not supported; use file:///an/absolute/folder or s3://bucket/prefix`,
  )
}

function openFolder(root: string): FileStore {
  const incoming = join(root, 'incoming')

  return {
    async write(id, source) {
      const bytes = source instanceof Readable ? source : Readable.from([source])
      bytes.on('error', () => {}) // it may fail before the folder is made; the pipeline below finds out
      const path = pathOf(root, id)
      const partial = join(incoming, randomUUID())
      await mkdir(incoming, { recursive: true })
      await mkdir(dirname(path), { recursive: true })
      try {
        // The bytes reach the disk before the name does: a file that exists is whole, also after a power cut.
        await pipeline(bytes, createWriteStream(partial, { flags: 'wx', flush: true }))
        const { size } = await stat(partial)
        await rename(partial, path)
        await syncFolder(dirname(path))
        return size
      } catch (error) {
        await rm(partial, { force: true })
        throw error
      }
    },

    async open(id, range) {
      const file = await open(pathOf(root, id)).catch(undefinedIfMissing)
      return file && createReadStream('', { fd: file, ...range })
    },

    async size(id) {
      return (await stat(pathOf(root, id)).catch(undefinedIfMissing))?.size
    },

    async remove(id) {
      await rm(pathOf(root, id), { force: true })
    },

    async removeMany(ids) {
      const kept: Kept[] = []
      for (const id of ids) {
        await rm(pathOf(root, id), { force: true }).catch((error: NodeJS.ErrnoException) =>
          kept.push({ id, why: error.code ?? error.message }),
        )
      }
      return kept
    },

    async walk(part = '', before) {
      if (part === '') await removeOld(incoming, before)
      const parts = (await namesIn(root)).filter((name) => name.length === 2).toSorted()
      const here = parts.find((name) => name >= part)
      if (here === undefined) return { ids: [], next: undefined }
      const folder = join(root, here)
      return { ids: await oldIn(folder, before), next: parts.find((name) => name > here) }
    },

    async check() {
      try {
        await mkdir(root, { recursive: true })
        await access(root, constants.W_OK)
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        throw new Error(`STORAGE_URL: the folder ${root} cannot be used: ${why}`, { cause: error })
      }
    },
  }
}

/** Ids begin with their time, so the last two characters spread them over 1,024 folders. */
function pathOf(root: string, id: string): string {
  if (!/^[a-z0-9_-]{3,80}$/.test(id)) throw new Error('This is not the id of a stored file')
  return join(root, id.slice(-2), id)
}

/** What killed processes were writing: no name leads to it. */
async function removeOld(folder: string, before: Date): Promise<void> {
  for (const name of await oldIn(folder, before)) await rm(join(folder, name), { force: true })
}

async function oldIn(folder: string, before: Date): Promise<string[]> {
  const old: string[] = []
  for (const name of await namesIn(folder)) {
    const found = await stat(join(folder, name)).catch(undefinedIfMissing)
    if (found && found.mtime < before) old.push(name)
  }
  return old
}

async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(undefinedIfMissing)) ?? []
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

function undefinedIfMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

export type FileStore = {
  /** Stores all of `source` or nothing, and answers with the number of bytes. */
  write(id: string, source: Readable | Uint8Array): Promise<number>
  /** The bytes of a file, or of a part of it; undefined when there is no such file. */
  open(id: string, range?: ByteRange): Promise<Readable | undefined>
  size(id: string): Promise<number | undefined>
  /** Removes the file; one that is already gone is no error. */
  remove(id: string): Promise<void>
  /**
   * Removes all of them, in as few steps as the store can. Answers those that the store does not give up, such as what a
   * bucket holds for a lawyer; when it throws, some may be gone.
   */
  removeMany(ids: string[]): Promise<Kept[]>
  /**
   * The ids in one part of the store that were written before `before`, for who walks over all of it: from no `part` on,
   * then from each answer's `next`, until there is none.
   */
  walk(part: string | undefined, before: Date): Promise<{ ids: string[]; next: string | undefined }>
  /** For a start: whether the store is there and may be used. Throws what its owner is to change. */
  check(): Promise<void>
}

/** A file that cannot be removed. */
export type Kept = { id: string; why: string }

/** First and last byte, both included, as in HTTP. */
export type ByteRange = { start: number; end: number }
