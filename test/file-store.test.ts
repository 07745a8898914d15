import { PassThrough, Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { newId, toTypeId } from '@millrace/database/ids'
import { byteLimit, TooLargeError } from '@millrace/outbound/byte-limit'
import { safeName } from '@millrace/storage/file-name'
import { type ByteRange, type FileStore, openStore } from '@millrace/storage/store'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type StorePlace, storePlaces } from './given-stores.ts'
import { until } from './harness/wait.ts'

const id = 'file_01h455vb4pex5vsknk084sn02q'
const other = 'file_01h455vb4pex5vsknk084sn02r'
let place: StorePlace
let store: FileStore

describe.each(storePlaces)('in %s', (_name, openPlace) => {
  beforeEach(async () => {
    place = await openPlace()
    store = openStore(place.url)
  })

  afterEach(() => place.close())

  test('bytes come back as they were written, from a buffer or a stream', async () => {
    const bytes = Buffer.from([0, 255, 10, 13, 128])
    expect(await store.write(id, bytes)).toBe(5)
    expect(await read()).toEqual(bytes)
    expect(await store.write(id, Readable.from([Buffer.from('one '), Buffer.from('two')]))).toBe(7)
    expect(await store.size(id)).toBe(7)
    expect(await read()).toEqual(Buffer.from('one two'))
  })

  test('an empty file is a file', async () => {
    expect(await store.write(id, new Uint8Array())).toBe(0)
    expect(await store.size(id)).toBe(0)
    expect(await read()).toEqual(Buffer.alloc(0))
  })

  test('another store on the same place, as another process has it, sees the file', async () => {
    await store.write(id, Buffer.from('shared'))
    const elsewhere = await openStore(place.url).open(id)
    expect(elsewhere && (await text(elsewhere))).toBe('shared')
  })

  test.each([
    [{ start: 0, end: 0 }, '0'],
    [{ start: 3, end: 5 }, '345'],
    [{ start: 8, end: 9 }, '89'],
    [{ start: 8, end: 99 }, '89'],
  ])('the range %j reads %j', async (range, expected) => {
    await store.write(id, Buffer.from('0123456789'))
    expect((await read(range))?.toString()).toBe(expected)
  })

  test('a file that is not there is undefined, and removing it is no error', async () => {
    expect(await store.open(id)).toBeUndefined()
    expect(await store.size(id)).toBeUndefined()
    await store.remove(id)
  })

  test('a removed file is gone', async () => {
    await store.write(id, Buffer.from('x'))
    await store.remove(id)
    expect(await store.open(id)).toBeUndefined()
    expect(await place.stored()).toEqual([])
  })

  test('while a file is being written nothing of it can be read, and the old one can', async () => {
    await store.write(id, Buffer.from('old'))
    const source = new PassThrough()
    const writing = store.write(id, source)
    source.write('new, first half')
    await until(async () => source.readableLength === 0 && source.writableLength === 0, {
      what: 'the store to read it',
    })
    expect((await read())?.toString()).toBe('old')
    source.end(' and the rest')
    await writing
    expect((await read())?.toString()).toBe('new, first half and the rest')
  })

  test('a source that fails half way leaves nothing', async () => {
    const source = new PassThrough()
    const writing = store.write(id, source)
    source.write('half')
    source.destroy(new Error('the upload broke'))
    await expect(writing).rejects.toThrow('the upload broke')
    expect(await place.stored()).toEqual([])
  })

  test('a source that fails at once leaves nothing either', async () => {
    const source = new PassThrough()
    const writing = store.write(id, source)
    source.destroy(new Error('the upload broke'))
    await expect(writing).rejects.toThrow('the upload broke')
    const tooLarge = Readable.from([Buffer.alloc(11)]).pipe(byteLimit(10))
    await expect(store.write(id, tooLarge)).rejects.toThrow(TooLargeError)
    expect(await place.stored()).toEqual([])
  })

  test('a source over the limit is cut off and leaves nothing', async () => {
    let produced = 0
    async function* endless() {
      for (;;) {
        produced += 1
        yield Buffer.alloc(1_000)
      }
    }
    const source = Readable.from(endless())
    await expect(store.write(id, source.pipe(byteLimit(50_000)))).rejects.toThrow(TooLargeError)
    source.destroy()
    expect(produced).toBeLessThan(200)
    expect(await place.stored()).toEqual([])
  })

  test.each(['../escape', 'a/b', '..', '', 'file_%2e%2e', 'file\0', 'x'.repeat(100)])(
    '%j is no id',
    async (bad) => {
      await expect(store.write(bad, Buffer.from('x'))).rejects.toThrow('not the id')
      await expect(store.open(bad)).rejects.toThrow('not the id')
      expect(await place.stored()).toEqual([])
    },
  )

  test('many are removed at once, and those that are gone already are no error', async () => {
    const ids = Array.from({ length: 12 }, () => toTypeId('file', newId()))
    for (const one of ids) await store.write(one, Buffer.from('x'))
    await store.write(other, Buffer.from('stays'))
    await store.remove(ids[3] ?? '')

    await store.removeMany(ids)
    await store.removeMany([])

    expect(await place.stored()).toEqual([other])
  })

  test('a walk over all of it finds every file once', async () => {
    const ids = Array.from({ length: 20 }, () => toTypeId('file', newId())).toSorted()
    for (const one of ids) await store.write(one, Buffer.from('x'))

    expect((await walked(new Date(Date.now() + 60_000))).toSorted()).toEqual(ids)
    expect(await walked(new Date(Date.now() - 60_000)), 'written after that time').toEqual([])
  })

  test('a place that may be used passes the check of a start', async () => {
    await store.check()
  })
})

test.each(['https://me:secret@example.com', './files', ''])(
  'the store %j is refused with a way out',
  (url) => {
    expect(() => openStore(url)).toThrow(/STORAGE_URL .*not supported; use file:\/\/\//)
    expect(() => openStore(url)).not.toThrow('secret')
  },
)

test.each([
  ['scan.png', 'scan.png'],
  ['../../etc/passwd', 'passwd'],
  ['C:\\Users\\me\\scan 1.png', 'scan 1.png'],
  ['a\r\nb"c.txt', 'a__b_c.txt'],
  ['nul\0\ud800.txt', 'nul_\ufffd.txt'],
  ['..', 'file'],
  ['', 'file'],
  ['dir/', 'file'],
  [`${'x'.repeat(300)}.jpeg`, `${'x'.repeat(195)}.jpeg`],
])('the file name %j is kept as %j', (given, kept) => {
  expect(safeName(given)).toBe(kept)
})

async function walked(before: Date): Promise<string[]> {
  const found: string[] = []
  for (let part: string | undefined, more = true; more; more = part !== undefined) {
    const { ids, next } = await store.walk(part, before)
    found.push(...ids)
    part = next
  }
  return found
}

async function read(range?: ByteRange): Promise<Buffer | undefined> {
  const stream = await store.open(id, range)
  return stream && buffer(stream)
}
