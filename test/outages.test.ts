import { connect, type Database } from '@millrace/database/connect'
import { releaseDead } from '@millrace/dispatcher/sweep/release-expired'
import { startSweeps } from '@millrace/dispatcher/sweep/sweep'
import { watchPresence } from '@millrace/dispatcher/sweep/watch-presence'
import { releaseExpired } from '@millrace/lifecycle/release'
import { renew } from '@millrace/lifecycle/renew'
import { createLog } from '@millrace/process/log'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { startProxy } from './faults/tcp-proxy.ts'
import { backFor } from './given-outages.ts'
import { givenPrediction } from './given-predictions.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { until } from './harness/wait.ts'

let database: FreshDatabase
let db: Database
beforeEach(async () => {
  database = await freshDatabase()
  db = database.db
})
afterEach(() => database.drop())

test('a stall that outlasts every lease frees no run whose worker renews when it is over', async () => {
  const url = new URL(database.url)
  const proxy = await startProxy({ host: url.hostname, port: Number(url.port) })
  url.port = `${proxy.port}`
  const stalled = connect({ url: url.href, max: 4, name: 'stalled' })
  let turns = 0
  const sweeping = startSweeps(
    { db: stalled, log: createLog({ name: 'test', level: 'silent' }), leaseSeconds: 1 },
    [
      {
        name: 'release-expired',
        everySeconds: 0.01,
        run: (now) => releaseDead(stalled, { ring: () => {} }, 1, now).finally(() => turns++),
      },
    ],
  )
  onTestFinished(async () => {
    await sweeping.stop()
    await stalled.close()
    await proxy.close()
  })
  await givenPrediction(db, 'processing')
  await db.pool.query('update runs set lease_until = clock_timestamp()')
  await until(async () => (await held()) === 0, {
    within: 30_000,
    what: 'a dead lease to be freed: the sweep is at work',
  })
  const { draft: _, ...fence } = await givenPrediction(db, 'processing')
  await db.pool.query(
    `update runs set lease_until = clock_timestamp() + interval '0.5 seconds' where worker is not null`,
  )

  proxy.set('black-hole')
  await until(() => longOver('3 seconds'), { within: 30_000, what: 'the lease to be over for long' })
  const before = turns
  proxy.set('none')
  await until(() => turns > before + 1, { within: 30_000, what: 'the sweep to have turned' })

  expect(await held()).toBe(1)
  await renew(db, { fences: [fence], worker: 'a-worker', leaseSeconds: 60 })
  await until(() => turns > before + 50, { within: 30_000, what: 'the sweep to go on' })
  expect(await held()).toBe(1)
})

test('a lease counts again when the database has been back for a lease', async () => {
  await givenPrediction(db, 'processing')
  await db.pool.query(`update runs set lease_until = clock_timestamp() - interval '1 hour'`)

  expect(await releaseExpired(db, 2, await backFor(db, 0))).toEqual([])
  expect(await releaseExpired(db, 2, await backFor(db, 3))).toHaveLength(1)
})

test('a statement that was itself held up frees nothing', async () => {
  await givenPrediction(db, 'processing')
  await db.pool.query(`update runs set lease_until = clock_timestamp() - interval '1 second'`)
  const now = await backFor(db, 3600)

  expect(await releaseExpired(db, 2, { ...now, asked: now.asked - 3 })).toEqual([])
  expect(await releaseExpired(db, 2, now)).toHaveLength(1)
})

test('the database was away when it could not be asked, was silent, or its clock was set', () => {
  const presence = watchPresence({ leaseSeconds: 15, everySeconds: 1 })
  expect(presence.heard(100, 0)).toEqual({ asked: 100, since: 100, missed: 0 })
  expect(presence.heard(106, 0)).toEqual({ asked: 106, since: 100, missed: 0 })
  expect(presence.heard(113, 0), 'silent').toEqual({ asked: 113, since: 113, missed: 7 })
  expect(presence.heard(114, 0)).toEqual({ asked: 114, since: 113, missed: 7 })
  presence.failed()
  expect(presence.heard(116, 0), 'failed, and soon after the last time').toEqual({
    asked: 116,
    since: 116,
    missed: 9,
  })
  expect(presence.heard(150, 0).missed).toBe(34)
  expect(presence.heard(130, 20), 'said long ago').toEqual({ asked: 130, since: 130, missed: 0 })
  expect(presence.heard(151, 0)).toEqual({ asked: 151, since: 151, missed: 35 })
  expect(presence.heard(120, 0), 'set back').toEqual({ asked: 120, since: 120, missed: 35 })
})

async function held(): Promise<number> {
  const { rowCount } = await db.pool.query('select from runs where worker is not null')
  return rowCount ?? 0
}

async function longOver(by: string): Promise<boolean> {
  const { rowCount } = await db.pool.query(
    'select from runs where lease_until < clock_timestamp() - $1::interval',
    [by],
  )
  return rowCount === 1
}
