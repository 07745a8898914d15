import type { Database } from '@millrace/database/connect'
import { releaseExpired } from '@millrace/lifecycle/release'
import { renew } from '@millrace/lifecycle/renew'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { claimed, givenPrediction } from './given-predictions.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'

let database: FreshDatabase
beforeEach(async () => {
  database = await freshDatabase()
})
afterEach(() => database.drop())

test('a worker that takes its run back after a stall has not crashed, however often', async () => {
  const { db } = database
  const { draft, ...fence } = await givenPrediction(db, 'processing')

  for (let stall = 0; stall < 3; stall++) {
    await expire(db)
    expect(await crashes(db)).toBe(1)
    const ours = await renew(db, { fences: [fence], worker: 'a-worker', leaseSeconds: 60 })
    expect(ours.get(draft.id)).toEqual({ cancel: false })
  }

  expect(await crashes(db)).toBe(0)
})

test('a renewal of a lease that was never free changes no count', async () => {
  const { db } = database
  const { draft } = await givenPrediction(db, 'processing')
  await expire(db)
  const fence = await claimed(db, draft.model)

  await renew(db, { fences: [fence], worker: 'a-worker', leaseSeconds: 60 })

  expect(await crashes(db)).toBe(1)
})

async function expire(db: Database): Promise<void> {
  await db.pool.query(`update runs set lease_until = clock_timestamp() - interval '1 minute'`)
  expect(await releaseExpired(db, 0)).toHaveLength(1)
}

async function crashes(db: Database): Promise<number> {
  const { rows } = await db.pool.query<{ crashes: number }>('select crashes from runs')
  return rows[0]?.crashes ?? -1
}
