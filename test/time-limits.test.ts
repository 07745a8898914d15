import type { Database } from '@millrace/database/connect'
import { findPrediction } from '@millrace/lifecycle/find'
import { endOverdue, prolongStarts } from '@millrace/lifecycle/overdue'
import { alwaysThere, type Presence } from '@millrace/lifecycle/presence'
import { handBack } from '@millrace/lifecycle/release'
import { settle } from '@millrace/lifecycle/settle'
import { announceWorker } from '@millrace/lifecycle/workers'
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

test('a begun run that nobody takes up again ends after its time to start, and says that nobody was there', async () => {
  const { draft, ...fence } = await givenPrediction(db, 'processing', { timeouts: { start: 300, run: 600 } })
  const other = await givenPrediction(db, 'processing', { timeouts: { start: 1_800, run: 600 } })
  await begunLongAgo()
  await handBack(db, 'a-worker', [fence, other])
  // However long it ran: its time counts from when it was given back.
  expect(await endLate(alwaysThere)).toEqual([])

  await passes('4 minutes')
  expect(await endLate(alwaysThere)).toEqual([])
  await passes('2 minutes')
  expect(await endLate(alwaysThere)).toEqual([draft.id])

  const row = await findPrediction(db, draft.accountId, draft.id)
  expect(row).toMatchObject({ status: 'failed', error_id: 'PROVIDER_UNAVAILABLE' })
  expect(row?.error).toContain(`No worker that serves "${draft.model}" was there`)
  expect(await claimed(db, other.draft.model), 'the other one still has time').toMatchObject({ attempt: 2 })
})

test('so does one that a worker should have taken up, and nothing else is said of it', async () => {
  const { draft, ...fence } = await givenPrediction(db, 'processing')
  await begunLongAgo()
  await handBack(db, 'a-worker', [fence])
  expect(await endLate(alwaysThere)).toEqual([])
  await passes('11 minutes')
  await announceWorker(db, 'busy', [draft.model])

  expect(await endLate(await backFor(db, 60)), 'the database was just away').toEqual([])
  expect(await endLate(alwaysThere)).toEqual([draft.id])

  const row = await findPrediction(db, draft.accountId, draft.id)
  expect(row?.error).toContain('no other went on with it')
})

test('a run that was tried again, and whose worker drains after long, is not late for it; while its host stays away it ends', async () => {
  const { draft, ...fence } = await givenPrediction(db, 'processing')
  await begunLongAgo()
  await db.pool.query('update runs set tries = 1')
  await handBack(db, 'a-worker', [fence])

  expect(await endLate(alwaysThere)).toEqual([])
  expect(await endLate(alwaysThere)).toEqual([])

  await passes('3 minutes')
  expect(await endLate(alwaysThere)).toEqual([draft.id])
  const row = await findPrediction(db, draft.accountId, draft.id)
  expect(row).toMatchObject({ status: 'failed', error_id: 'PROVIDER_UNAVAILABLE' })
})

const begunLongAgo = () =>
  db.pool.query(
    `update runs set start_by = clock_timestamp() - interval '1 hour', run_at = clock_timestamp() - interval '2 hours'`,
  )

const passes = (time: string) =>
  db.pool.query(`update runs set lease_until = lease_until - $1::interval where worker is null`, [time])

const endLate = (presence: Presence) => endOverdue(lifecycleOn(db), 10, { leaseSeconds, presence })
