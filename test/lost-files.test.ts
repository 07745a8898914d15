import { utimes, writeFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { connect, type Database } from '@millrace/database/connect'
import { newId, toTypeId } from '@millrace/database/ids'
import { createStrayRemoval } from '@millrace/dispatcher/sweep/remove-strays'
import { findFile, listFiles, removeFile, saveFile } from '@millrace/storage/files'
import { type FileStore, openStore } from '@millrace/storage/store'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type FaultProxy, startProxy } from './faults/tcp-proxy.ts'
import { type StorePlace, storePlaces } from './given-stores.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'

// Bytes and the row that owns them are in two places, and the way to one of them may break at any moment.

let database: FreshDatabase
let proxy: FaultProxy
let farDb: Database
let place: StorePlace
let store: FileStore
describe.each(storePlaces)('in %s', (_name, openPlace) => {
  beforeEach(async () => {
    database = await freshDatabase()
    const url = new URL(database.url)
    proxy = await startProxy({ host: url.hostname, port: Number(url.port) })
    url.port = String(proxy.port)
    farDb = connect({ url: url.href, max: 2, name: 'millrace-test' })
    place = await openPlace()
    store = openStore(place.url)
  })
  afterEach(async () => {
    await farDb.close()
    await proxy.close()
    await database.drop()
    await place.close()
  })

  test('a file whose row was stored and the answer lost is there, once and whole', async () => {
    const lost = proxy.loseAnswers({ marks: ['insert into "files"'], times: 2 })
    const accountId = newId()

    const saved = await saveFile(farDb, store, fileOf(accountId))

    expect(lost()).toBe(2)
    expect(await listed(accountId)).toEqual([saved.id])
    expect(await bytesOf(saved.id)).toBe('bytes')
  })

  test('a file whose row never got an answer is not listed without its bytes', async () => {
    proxy.loseAnswers({ marks: ['insert into "files"'], times: 1_000 })
    const accountId = newId()

    await expect(saveFile(farDb, store, fileOf(accountId))).rejects.toThrow()

    const [id = ''] = await listed(accountId)
    expect(await bytesOf(id)).toBe('bytes')
  })

  test('a file that is saved again, because nobody knew, is one file', async () => {
    const file = { ...fileOf(newId()), id: newId() }

    await saveFile(farDb, store, file)
    await saveFile(farDb, store, file)

    expect(await listed(file.accountId)).toEqual([toTypeId('file', file.id)])
  })

  test('a row that the database refuses leaves no bytes', async () => {
    await expect(saveFile(farDb, store, { ...fileOf(newId()), predictionId: 'no uuid' })).rejects.toThrow()

    expect(await place.stored()).toEqual([])
  })

  test('a row that is stored after it was refused for a while has its bytes', async () => {
    await database.db.pool.query(`
      create sequence refusals;
      create function refuse() returns trigger language plpgsql as $$
      begin
        if nextval('refusals') <= 2 then raise 'locked for a test' using errcode = '55P03'; end if;
        return new;
      end $$;
      create trigger refuse before insert on files for each row execute function refuse()`)

    const saved = await saveFile(farDb, store, fileOf(newId()))

    expect(await bytesOf(saved.id)).toBe('bytes')
  })

  test('a file whose removal was cut off before its bytes went is gone for everybody, and swept later', async () => {
    const accountId = newId()
    const { id } = await saveFile(farDb, store, fileOf(accountId))
    const failing = { ...store, remove: () => Promise.reject(new Error('the storage is away')) }

    await expect(removeFile(farDb, failing, { id, accountId })).rejects.toThrow('away')

    expect(await findFile(farDb, { id })).toBeUndefined()
    expect(await listed(accountId)).toEqual([])
    const { rows } = await database.db.pool.query(
      'select expires_at <= clock_timestamp() as expired from files',
    )
    expect(rows).toEqual([{ expired: true }])
  })

  test('bytes that no row owns go after as long as a file lives, and nothing else', async () => {
    const owned = await saveFile(farDb, store, fileOf(newId()))
    const [stray, fresh] = [toTypeId('file', newId()), toTypeId('file', newId())]
    for (const id of [stray, fresh]) await store.write(id, Buffer.from('nobody’s'))
    for (const id of [stray, owned.id]) await place.age(id, weekAgo)
    const cutOff = new URL(`${place.url}/incoming/cut-off`)
    if (cutOff.protocol === 'file:') {
      await writeFile(cutOff, 'half a fi')
      await utimes(cutOff, weekAgo, weekAgo)
    }
    const sweep = createStrayRemoval({
      db: database.db,
      store,
      retention: { fileDays: 7, valueDays: 30, rowDays: 90 },
    })

    for (let turn = 0; turn < 4; turn++) await sweep()

    expect((await place.stored()).toSorted()).toEqual([owned.id, fresh].toSorted())
  })
})

function fileOf(accountId: string) {
  const source = Buffer.from('bytes')
  return { accountId, purpose: 'output', name: 'a.txt', contentType: 'text/plain', source, maxBytes: 100 }
}

async function listed(accountId: string): Promise<string[]> {
  const { rows } = await listFiles(database.db, accountId, { size: 10 })
  return rows.map(({ id }) => id)
}

async function bytesOf(id: string): Promise<string | undefined> {
  const bytes = await store.open(id)
  return bytes && String(await buffer(bytes))
}

const weekAgo = new Date(Date.now() - 8 * 86_400_000)
