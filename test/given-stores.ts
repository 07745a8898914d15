import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { vi } from 'vitest'
import { bucketKeys, startBucket } from './harness/bucket.ts'

/** The kinds of place that files may be kept in, for tests that every one of them must pass. */
export const storePlaces: [name: string, open: () => Promise<StorePlace>][] = [
  ['a folder', openFolder],
  ['a bucket', openBucket],
]

async function openFolder(): Promise<StorePlace> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace store é-'))
  return {
    url: pathToFileURL(folder).href,
    environment: {},
    async stored() {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true })
      return entries
        .filter((entry) => entry.isFile())
        .map(({ name }) => name)
        .toSorted()
    },
    async age(id, to) {
      await utimes(join(folder, id.slice(-2), id), to, to)
    },
    close: () => rm(folder, { recursive: true }),
  }
}

/** The AWS client takes its keys from the environment of whoever uses it, also of a test. */
async function openBucket(): Promise<StorePlace> {
  for (const [name, value] of Object.entries(bucketKeys)) vi.stubEnv(name, value)
  const bucket = await startBucket()
  return {
    url: bucket.storageUrl(),
    environment: bucket.environment,
    stored: async () => (await bucket.keys()).map((key) => key.replace('millrace/', '')),
    age: (id, to) => bucket.age(`millrace/${id}`, to),
    close: bucket.close,
  }
}

export interface StorePlace {
  /** For STORAGE_URL. */
  url: string
  /** What a process needs beside it. */
  environment: Record<string, string>
  /** The names of everything that lies there, sorted, without asking the store. */
  stored(): Promise<string[]>
  /** Makes a file as old as if it had been written then. */
  age(id: string, to: Date): Promise<void>
  close(): Promise<void>
}
