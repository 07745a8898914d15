import type { Database } from '@millrace/database/connect'
import { claim } from '@millrace/lifecycle/claim'
import { createLease, type Hold, type Lease } from '@millrace/worker/lease'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type FaultProxy, startProxy } from './faults/tcp-proxy.ts'
import { givenPrediction, lifecycleOn } from './given-predictions.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { until } from './harness/wait.ts'

const leaseSeconds = 3

let database: FreshDatabase
let db: Database
let proxy: FaultProxy
let lease: Lease
let failures: unknown[]

beforeEach(async () => {
  database = await freshDatabase()
  db = database.db
  const url = new URL(database.url)
  proxy = await startProxy({ host: url.hostname, port: Number(url.port) })
  url.port = `${proxy.port}`
  failures = []
  lease = createLease({
    databaseUrl: url.href,
    worker: 'a-worker',
    leaseSeconds,
    onError: (error) => failures.push(error),
  })
})

afterEach(async () => {
  await lease.close()
  await proxy.close()
  await database.drop()
})

test('a connection that falls silent costs no lease', async () => {
  const hold = await givenHold()
  await untilRenewed()

  for (let time = 0; time < 2; time++) {
    expect(proxy.cut('half-open')).toBeGreaterThan(0)
    await untilRenewed()
  }

  expect(hold.stopped()).toBeUndefined()
})

test('a renewal whose answer is slow is heard all the same', async () => {
  const hold = await givenHold()
  await untilRenewed()
  await db.pool.query(`update runs set worker = 'another', attempt = attempt + 1`)
  proxy.set({ delayMs: (leaseSeconds * 1000) / 5 })

  await until(() => hold.stopped() === 'lost', { what: 'the worker to hear that it lost the run' })
  proxy.set('none')
})

test('a run that is given up waits for no renewal but its own', async () => {
  const hold = await givenHold()
  await untilRenewed()
  proxy.set('black-hole')
  await until(() => failures.length > 0, { what: 'a renewal to go unanswered' })
  const later = lease.hold({ id: hold.fence.id, attempt: 2 })

  await later.end()

  proxy.set('none')
})

async function givenHold(): Promise<Hold> {
  const { draft } = await givenPrediction(db, 'pending')
  const request = { model: draft.model, limit: 1, worker: 'a-worker', leaseSeconds }
  const [claimed] = await claim(lifecycleOn(db), request)
  if (!claimed) throw new Error('There was nothing to claim')
  return lease.hold({ id: claimed.id, attempt: claimed.attempt })
}

/** Waits for the next renewal; the lease may not run out before. */
async function untilRenewed(): Promise<void> {
  const before = await leaseUntil()
  let least = before.left
  await until(
    async () => {
      const now = await leaseUntil()
      least = Math.min(least, now.left)
      return now.until !== before.until
    },
    { what: 'the lease to be renewed' },
  )
  expect(least).toBeGreaterThan(0)
}

async function leaseUntil(): Promise<{ until: string; left: number }> {
  const { rows } = await db.pool.query(
    `select lease_until::text as until, extract(epoch from lease_until - clock_timestamp())::float8 as left from runs`,
  )
  return rows[0]
}
