import type { Database } from '@millrace/database/connect'
import { endOverdue, prolongStarts } from '@millrace/lifecycle/overdue'
import { alwaysThere, type Presence } from '@millrace/lifecycle/presence'
import { handBack } from '@millrace/lifecycle/release'
import { settle } from '@millrace/lifecycle/settle'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { backFor } from './given-outages.ts'
import { claimed, endings, givenPrediction, lifecycleOn } from './given-predictions.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'

const leaseSeconds = 15

let database: FreshDatabase
let db: Database
beforeEach(async () => {
  database = await freshDatabase()
  db = database.db
})
afterEach(() => database.drop())

test('a result that was finished in time while the database was away wins over the time limit', async () => {
  const { draft, ...fence } = await givenPrediction(db, 'processing')
  await db.pool.query(`update runs set run_by = clock_timestamp() - interval '1 hour'`)

  expect(await endLate(await backFor(db, 5))).toEqual([])

  const [row] = await settle(
    lifecycleOn(db),
    [endings(fence).succeeded].flatMap((ending) => ending ?? []),
  )
  expect(row).toMatchObject({ id: draft.id, status: 'succeeded' })
})

test('a run whose worker goes on past its time ends once the database has been back for a lease', async () => {
  const { id } = await givenPrediction(db, 'processing')
  await db.pool.query(`update runs set run_by = clock_timestamp() - interval '1 hour'`)

  expect(await endLate(await backFor(db, leaseSeconds + 1))).toEqual([id])
})

test('waiting for another worker costs a run none of its own time', async () => {
  const { draft, ...fence } = await givenPrediction(db, 'processing')
  await db.pool.query(`update runs set run_by = clock_timestamp() - interval '1 hour'`)
  await handBack(db, 'a-worker', [fence])

  expect(await endLate(alwaysThere)).toEqual([])

  expect(await claimed(db, draft.model)).toEqual({ id: draft.id, attempt: 2 })
  expect(await endLate(alwaysThere)).toEqual([])
})

test('the time that the database was away is given back to what waits to begin, once', async () => {
  const { id, draft } = await givenPrediction(db, 'pending')
  await db.pool.query(`update runs set start_by = clock_timestamp() - interval '1 minute'`)
  const presence = { ...(await backFor(db, 0)), missed: 600 }
  const judging = { leaseSeconds, presence }

  expect(await endLate(presence)).toEqual([])
  expect(await prolongStarts(db, judging)).toBe(1)
  expect(await prolongStarts(db, judging)).toBe(0)
  expect(await endLate(alwaysThere)).toEqual([])

  expect(await claimed(db, draft.model)).toEqual({ id, attempt: 1 })
  const { rows } = await db.pool.query(
    "select start_by - clock_timestamp() > interval '9 minutes' as enough from runs",
  )
  expect(rows).toEqual([{ enough: true }])
})

test('a model that is ready while the database is away is not too late', async () => {
  const { id } = await givenPrediction(db, 'starting')
  await db.pool.query(`update runs set start_by = clock_timestamp() - interval '1 minute'`)

  expect(await endLate(await backFor(db, 5))).toEqual([])
  expect(await endLate(await backFor(db, leaseSeconds + 1))).toEqual([id])
})

const endLate = (presence: Presence) => endOverdue(lifecycleOn(db), 10, { leaseSeconds, presence })
