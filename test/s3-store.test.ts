import { once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setImmediate as turn } from 'node:timers/promises'
import { newId, toTypeId } from '@millrace/database/ids'
import { byteLimit, TooLargeError } from '@millrace/outbound/byte-limit'
import { freePort } from '@millrace/standalone/ports'
import { type FileStore, openStore } from '@millrace/storage/store'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Bucket, bucketKeys, startBucket } from './harness/bucket.ts'
import { freshDatabase } from './harness/database.ts'
import { startProcess } from './harness/processes.ts'
import { until } from './harness/wait.ts'

// What every store does is in file-store.test.ts; here is what only a bucket has.

const megabyte = 1024 * 1024
let bucket: Bucket
let store: FileStore
beforeEach(async () => {
  for (const [name, value] of Object.entries(bucketKeys)) vi.stubEnv(name, value)
  bucket = await startBucket()
  store = openStore(bucket.storageUrl())
})
afterEach(() => bucket.close())

const newFile = () => toTypeId('file', newId())

test('a file of many parts comes back whole, and any range of it', async () => {
  const id = newFile()
  const size = 20 * megabyte + 7
  expect(await store.write(id, Readable.from(numbered(size)))).toBe(size)

  expect(await store.size(id)).toBe(size)
  const whole = await store.open(id)
  expect(whole && (await buffer(whole)).equals(Buffer.concat([...numbered(size)]))).toBe(true)
  const start = 8 * megabyte - 4
  const seam = await store.open(id, { start, end: start + 7 })
  expect(seam && (await buffer(seam))).toEqual(Buffer.concat([...numbered(size)]).subarray(start, start + 8))
})

test.each([
  ['that breaks off after some parts', () => failingAfter(20 * megabyte), /the upload broke/],
  [
    'that is larger than a file may be',
    () => Readable.from(numbered(40 * megabyte)).pipe(byteLimit(20 * megabyte)),
    TooLargeError,
  ],
])('a source %s leaves neither a file nor parts', async (_, source, error) => {
  await expect(store.write(newFile(), source())).rejects.toThrow(error)
  expect(await bucket.everything()).toEqual([])
})

test('parts that a killed process left are removed by a walk, and those of an upload under way are not', async () => {
  const source = new PassThrough()
  const writing = store.write(newFile(), source)
  for (const chunk of numbered(9 * megabyte)) if (!source.write(chunk)) await once(source, 'drain')
  await until(async () => (await bucket.everything()).length > 0, { what: 'an upload to begin' })

  await store.walk(undefined, new Date(Date.now() - 60_000))
  expect(await bucket.everything()).not.toEqual([])
  await store.walk(undefined, new Date(Date.now() + 60_000))
  expect(await bucket.everything()).toEqual([])

  source.destroy(new Error('killed'))
  await expect(writing).rejects.toThrow('killed')
})

test('a store sees and removes only what is under its prefix', async () => {
  const [id, theirs] = [newFile(), newFile()]
  const other = openStore(bucket.storageUrl('millrace-2/deep'))
  await store.write(id, Buffer.from('ours'))
  await other.write(theirs, Buffer.from('theirs'))
  await openStore(bucket.storageUrl('')).write(newFile(), Buffer.from('at the top'))

  const later = new Date(Date.now() + 60_000)
  expect(await store.walk(undefined, later)).toEqual({ ids: [id], next: undefined })
  await store.removeMany([theirs])
  expect(await other.size(theirs)).toBe(6)
  expect((await bucket.keys()).length).toBe(3)
})

test('more files than the bucket lists and deletes at a time are all found and removed', async () => {
  // One stays: this server is not good at removing the last file of a folder.
  const other = toTypeId('file', newId())
  await store.write(other, Buffer.from('x'))
  const ids = Array.from({ length: 1_003 }, newFile).toSorted()
  const rest = ids.values()
  const write = async () => {
    for (const id of rest) await store.write(id, Buffer.from('x'))
  }
  await Promise.all(Array.from({ length: 16 }, write))

  const later = new Date(Date.now() + 60_000)
  const first = await store.walk(undefined, later)
  const second = await store.walk(first.next, later)
  expect([...first.ids, ...second.ids]).toEqual([other, ...ids])
  expect(second).toMatchObject({ ids: { length: 4 }, next: undefined })

  await store.removeMany(ids)
  expect(await bucket.keys()).toEqual([`millrace/${other}`])
}, 60_000)

test('of many files one that the bucket does not give up is named, and the others go', async () => {
  const [held, free] = [newFile(), newFile()]
  for (const id of [held, free]) await store.write(id, Buffer.from('bytes'))
  bucket.hold(`millrace/${held}`)
  expect(await store.removeMany([held, free])).toEqual([{ id: held, why: 'AccessDenied' }])
  expect(await bucket.keys()).toEqual([`millrace/${held}`])
})

describe('a start says what is wrong with', () => {
  const check = (url: string) => openStore(url).check()

  test('a bucket that is not there', async () => {
    const url = bucket.storageUrl().replace('s3://files', 's3://fields')
    await expect(check(url)).rejects.toThrow(
      `STORAGE_URL: the bucket s3://fields/millrace at ${bucket.endpoint} cannot be used: there is no such bucket`,
    )
  })

  test('a key that the bucket does not know', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'SOMEBODY')
    await expect(check(bucket.storageUrl())).rejects.toThrow('does not know this AWS_ACCESS_KEY_ID')
  })

  test('a secret that is not the key’s', async () => {
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'guessed')
    await expect(check(bucket.storageUrl())).rejects.toThrow('AWS_SECRET_ACCESS_KEY is not the one')
  })

  test('a server that is not there', async () => {
    const url = `s3://files?endpoint=http://127.0.0.1:${await freePort()}`
    await expect(check(url)).rejects.toThrow(/the bucket s3:\/\/files at .* cannot be used: .*ECONNREFUSED/)
  })

  test.each(['api', 'worker', 'dispatcher'] as const)('the store of a whole %s', async (app) => {
    const url = bucket.storageUrl().replace('s3://files', 's3://fields')
    const database = await freshDatabase()
    const environment = {
      ...bucketKeys,
      DATABASE_URL: database.url,
      MASTER_KEY: 'k'.repeat(32),
      PUBLIC_URL: 'http://127.0.0.1:3000',
      PORT: String(await freePort()),
      STORAGE_URL: url,
    }
    await expect(startProcess(app, environment)).rejects.toThrow('there is no such bucket; make it first')
    await database.drop()
  })
})

test.each([
  ['s3://key:secret@bucket/prefix', 'credentials come from AWS_ACCESS_KEY_ID'],
  ['s3:///prefix', 'name a bucket'],
  ['s3://UPPER_CASE', 'name a bucket'],
  ['s3://bucket?regoin=eu', '"regoin" is none of region, endpoint, path_style'],
  ['s3://bucket?endpoint=minio:9000', 'endpoint must be an http or https URL'],
  ['s3://bucket?path_style=yes', 'path_style is true or false'],
])('the store %s is refused: %s', (url, reason) => {
  expect(() => openStore(url)).toThrow(reason)
  expect(() => openStore(url)).not.toThrow('secret')
})

function* numbered(size: number): Generator<Buffer> {
  const chunk = Buffer.from(Uint8Array.from({ length: 64 * 1024 - 3 }, (_, n) => (n * 31) % 251))
  for (let at = 0; at < size; at += chunk.length) yield chunk.subarray(0, Math.min(chunk.length, size - at))
}

function failingAfter(size: number): Readable {
  const source = new PassThrough()
  void (async () => {
    for (const chunk of numbered(size)) {
      while (source.writableNeedDrain) await turn()
      source.write(chunk)
    }
    source.destroy(new Error('the upload broke'))
  })()
  return source
}
