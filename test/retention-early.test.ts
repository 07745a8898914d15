import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { createPurge } from '@millrace/dispatcher/sweep/purge'
import { accept } from '@millrace/lifecycle/accept'
import { findPrediction } from '@millrace/lifecycle/find'
import { hide } from '@millrace/lifecycle/remove'
import { settle } from '@millrace/lifecycle/settle'
import { findFile, saveFile } from '@millrace/storage/files'
import { type FileStore, openStore } from '@millrace/storage/store'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { claimed, draft, endings, givenPrediction, lifecycleOn } from './given-predictions.ts'
import { passDays } from './given-retention.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'

// The sweep that carries out a prediction's own retention, at its edges. All of it together is in retention-own.test.ts.

let database: FreshDatabase
let folder: string
let store: FileStore
beforeEach(async () => {
  database = await freshDatabase()
  folder = await mkdtemp(join(tmpdir(), 'millrace-retention-'))
  store = openStore(pathToFileURL(folder).href)
})
afterEach(async () => {
  await database.drop()
  await rm(folder, { recursive: true, force: true })
})

const purge = (own: FileStore = store) =>
  createPurge({ db: database.db, store: own, retention: { fileDays: 7, valueDays: 30, rowDays: 90 } })()

test('one without a retention of its own is never looked at', async () => {
  const { id } = await givenPrediction(database.db, 'succeeded')
  await passDays(database.db, id, 20)
  expect(await purge()).toBeUndefined()
  expect(await noted()).toEqual([])
})

test('what has not ended keeps everything, however old, and has its days from its end on', async () => {
  const made = draft({ retention: { files_days: 1, data_days: 1 } })
  await accept(lifecycleOn(database.db), [made])
  const file = await givenFile(made.id, made.accountId)
  await passDays(database.db, made.id, 3)

  expect(await purge()).toMatchObject({ early: 1, files: 0 })

  expect(await found(made)).toMatchObject({ input: { text: 'hello' }, expired_at: null })
  expect(await store.size(file.id)).toBe(5)
  const fence = await claimed(database.db, made.model)
  await settle(lifecycleOn(database.db), [endings(fence).cancelled ?? { ...fence, verb: 'cancel' }])
  await passDays(database.db, made.id, 1.1)
  expect(await purge()).toMatchObject({ early: 1, files: 1 })
  expect(await found(made)).toMatchObject({ status: 'cancelled', input: {}, expired_at: expect.any(Date) })
  expect(await store.size(file.id)).toBeUndefined()
  expect(await noted()).toEqual([])
})

test('files go first and values after their own days, and between them it is looked at once', async () => {
  const given = await givenPrediction(database.db, 'succeeded', {
    retention: { files_days: 1, data_days: 3 },
  })
  const { accountId } = given.draft
  await givenFile(given.id, accountId)

  await passDays(database.db, given.id, 1.1)
  expect(await purge()).toMatchObject({ early: 1, files: 1 })
  expect(await purge()).toBeUndefined()
  expect(await found(given.draft)).toMatchObject({ output: 'hello' })

  await passDays(database.db, given.id, 2)
  expect(await purge()).toMatchObject({ early: 1 })
  expect(await found(given.draft)).toMatchObject({ input: {}, output: null })
  expect(await purge()).toBeUndefined()
})

test('values whose webhook is still to be sent wait for it, and so does its body', async () => {
  const webhook = { url: 'http://127.0.0.1:9/', events: ['completed'] }
  const given = await givenPrediction(database.db, 'succeeded', { webhook, retention: { data_days: 1 } })
  await passDays(database.db, given.id, 2)

  await purge()
  expect(await found(given.draft)).toMatchObject({ output: 'hello', expired_at: null })
  expect(await bodies()).toBe(1)

  await database.db.pool.query(`update deliveries set state = 'exhausted', completed_at = clock_timestamp()`)
  await passDays(database.db, given.id, 1)
  await purge()
  expect(await found(given.draft)).toMatchObject({ output: null, expired_at: expect.any(Date) })
  expect(await bodies()).toBe(0)
})

test('a removal that broke off is gone on with', async () => {
  const given = await givenPrediction(database.db, 'succeeded', {
    retention: { files_days: 1, data_days: 1 },
  })
  const file = await givenFile(given.id, given.draft.accountId)
  await passDays(database.db, given.id, 2)
  const away = { ...store, removeMany: () => Promise.reject(new Error('the storage is away')) }

  await expect(purge(away)).rejects.toThrow('away')
  expect(await store.size(file.id)).toBe(5)

  expect(await purge()).toMatchObject({ files: 1 })
  expect(await store.size(file.id)).toBeUndefined()
  expect(await found(given.draft)).toMatchObject({ output: null })
})

test('a file that the storage does not give up holds back nothing else', async () => {
  const retention = { files_days: 1 }
  const [held, deleted, other] = await Promise.all(
    [1, 2, 3].map(() => givenPrediction(database.db, 'succeeded', { retention })),
  )
  if (!held || !deleted || !other) throw new Error('none was made')
  const locked = await givenFile(held.id, held.draft.accountId)
  const lockedToo = await givenFile(deleted.id, deleted.draft.accountId)
  const free = await givenFile(other.id, other.draft.accountId)
  await hide(database.db, deleted.draft.accountId, deleted.id)
  await passDays(database.db, held.id, 3)
  await passDays(database.db, other.id, 2)
  const holding: FileStore = {
    ...store,
    async removeMany(ids) {
      const isLocked = (id: string) => id === locked.id || id === lockedToo.id
      const kept = await store.removeMany(ids.filter((id) => !isLocked(id)))
      return [...kept, ...ids.filter(isLocked).map((id) => ({ id, why: 'AccessDenied' }))]
    },
  }

  await expect(purge(holding)).rejects.toThrow(`does not give up 2 files that are to go`)

  expect(await store.size(free.id)).toBeUndefined()
  expect(await found(deleted.draft)).toBeUndefined()
  expect(await database.db.pool.query('select id from files')).toMatchObject({ rowCount: 2 })
  expect(await findFile(database.db, { id: locked.id }), 'nobody gets it any more').toBeUndefined()

  expect(await purge(), 'once it is given up').toMatchObject({ files: 2 })
  expect(await store.size(locked.id)).toBeUndefined()
  expect(await store.size(lockedToo.id)).toBeUndefined()
})

test('a deleted prediction takes its note along, and the files of its input', async () => {
  const given = await givenPrediction(database.db, 'succeeded', { retention: { files_days: 5 } })
  const file = await givenFile(given.id, given.draft.accountId)
  await hide(database.db, given.draft.accountId, given.id)

  expect(await purge()).toMatchObject({ deleted: 1 })

  expect(await noted()).toEqual([])
  expect(await store.size(file.id)).toBeUndefined()
})

test('more than one call looks at are all done in one turn', async () => {
  const drafts = Array.from({ length: 450 }, () => draft({ retention: { data_days: 1 } }))
  await accept(lifecycleOn(database.db), drafts)
  await settle(
    lifecycleOn(database.db),
    drafts.map(({ id }) => ({ verb: 'cancel' as const, id, attempt: 0 })),
  )
  const ids = drafts.map(({ id }) => id)
  await database.db.pool.query(
    `update predictions set created_at = created_at - interval '2 days',
    completed_at = completed_at - interval '2 days', updated_at = updated_at - interval '2 days' where id = any($1)`,
    [ids],
  )
  await database.db.pool.query(`update expiries set due_at = due_at - interval '2 days'`)

  expect(await purge()).toMatchObject({ early: 450 })

  expect(await noted()).toEqual([])
  const { rowCount } = await database.db.pool.query(`select from predictions where input::text <> '{}'`)
  expect(rowCount).toBe(0)
})

const found = ({ accountId, id }: { accountId: string; id: string }) =>
  findPrediction(database.db, accountId, id)

const noted = () => database.db.kysely.selectFrom('expiries').selectAll().execute()

async function bodies(): Promise<number> {
  return (await database.db.kysely.selectFrom('webhook_bodies').select('id').execute()).length
}

function givenFile(predictionId: string, accountId: string) {
  return saveFile(database.db, store, {
    accountId,
    predictionId,
    purpose: 'input',
    name: 'a.txt',
    contentType: 'text/plain',
    source: Buffer.from('bytes'),
    maxBytes: 100,
    expiresAt: new Date(Date.now() + 30 * 86_400_000),
  })
}
