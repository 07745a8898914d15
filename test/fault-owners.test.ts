import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Database } from '@millrace/database/connect'
import { toTypeId } from '@millrace/database/ids'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type History, openHistory } from './faults/history.ts'
import { type Watching, watchOwners } from './faults/owners.ts'
import { givenPrediction } from './given-predictions.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { until } from './harness/wait.ts'

let folder: string
let history: History
let database: FreshDatabase
let watching: Watching | undefined

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-owners-'))
  history = openHistory(join(folder, 'history.ndjson'))
  database = await freshDatabase()
})

afterEach(async () => {
  await watching?.stop()
  await database.drop()
  await history.close()
  await rm(folder, { recursive: true, force: true })
})

test('a run that nobody takes is told once, and one that somebody holds is not', async () => {
  const { id } = await givenPrediction(database.db, 'pending')
  await givenPrediction(database.db, 'processing')
  const looks = watch(database.db)
  await looks.untilTold()
  const before = looks.made()
  await until(() => looks.made() > before + 1, { what: 'two more looks' })
  expect(told()).toEqual([toTypeId('pred', id)])
})

test('a look that fails makes nobody forget what waited before it', async () => {
  await givenPrediction(database.db, 'pending')
  // Every third: if that made it forget, nothing would be known for longer than two looks.
  await watch(database.db, (nth) => nth % 3 === 2).untilTold()
  expect(told()).toHaveLength(1)
})

const told = () => history.entries.flatMap((entry) => (entry.is === 'ownerless' ? entry.id : []))

/** Watches a service that is up, for what is nobody's for more than two looks; some looks fail. */
function watch(db: Database, fails: (nth: number) => boolean = () => false) {
  let looks = 0
  const connect = async () => {
    if (fails(looks++)) throw new Error('The database does not answer')
    return db.pool.connect()
  }
  const slots = (['worker', 'dispatcher'] as const).map((app) => ({ app, upSince: () => 0 }))
  const pool = new Proxy(db.pool, {
    get: (target, name) => (name === 'connect' ? connect : Reflect.get(target, name, target)),
  })
  watching = watchOwners({ db: { ...db, pool }, history, slots, within: 300, slotsPerWorker: 8 })
  return {
    made: () => looks,
    untilTold: () => until(() => told().length > 0, { what: 'it to be told' }),
  }
}
