import { connect, type Database, transaction } from '@millrace/database/connect'
import { begin } from '@millrace/lifecycle/begin'
import { requestCancel } from '@millrace/lifecycle/cancel'
import { hide } from '@millrace/lifecycle/remove'
import { settle } from '@millrace/lifecycle/settle'
import { expect, test } from 'vitest'
import { endings, givenPrediction, lifecycleOn } from './given-predictions.ts'
import { freshDatabase } from './harness/database.ts'
import { until } from './harness/wait.ts'

test('a prediction that ends while it is deleted is in no list', async () => {
  const { db, drop } = await freshDatabase()
  const races = Array.from({ length: 40 }, async () => {
    const given = await givenPrediction(db, 'processing', { tags: { team: 'red' } })
    const { cancelled } = endings(given)
    await Promise.all([
      settle(lifecycleOn(db), cancelled ? [cancelled] : []),
      hide(db, given.draft.accountId, given.id),
    ])
  })
  await Promise.all(races)

  const { rows } = await db.pool.query(
    'select prediction_id from outcomes union all select prediction_id from prediction_tags',
  )

  expect(rows).toEqual([])
  await drop()
})

test('a prediction with megabytes of input ends with thin webhooks that say so, and keeps its input', async () => {
  const { db, drop } = await freshDatabase()
  const text = 'x'.repeat(2_000_000)
  const webhook = { url: 'http://receiver.test/', events: ['succeeded'] }
  const given = await givenPrediction(db, 'succeeded', { input: { text }, webhook })

  const { rows } = await db.pool.query<{ body: string }>('select body from webhook_bodies')
  const { rows: kept } = await db.pool.query<{ length: number }>(
    `select length(input ->> 'text') as length from predictions where id = $1`,
    [given.id],
  )

  expect(JSON.parse(rows[0]?.body ?? '')).toMatchObject({
    type: 'prediction.succeeded',
    truncated: true,
    data: { status: 'succeeded' },
  })
  expect(kept).toEqual([{ length: text.length }])
  await drop()
})

test('an ending that waits for a cancellation ends the prediction once, and the database stays up', async () => {
  const { db, drop } = await freshDatabase()
  // Plans for any parameters, as every long-lived process gets them. See hold-runs.ts for what they did to PostgreSQL 18.
  await db.pool.query(`do $$ begin execute format('alter database %I set plan_cache_mode = force_generic_plan',
                                                  current_database()); end $$`)
  const startedAt = await postgresStart(db)
  for (let race = 0; race < 100; race++) {
    const given = await givenPrediction(db, 'processing')
    const { succeeded } = endings(given)
    const [ended] = await Promise.all([
      settle(lifecycleOn(db), succeeded ? [succeeded] : []),
      requestCancel(lifecycleOn(db), given.id),
    ])
    expect(ended).toMatchObject([{ id: given.id, status: 'succeeded' }])
  }
  expect(await postgresStart(db)).toEqual(startedAt)
  await drop()
})

test.each([
  { what: 'an ending', status: 'processing' },
  { what: 'a begin', status: 'starting' },
] as const)(
  '$what that waits for a deletion is done after it, and the database stays up',
  async ({ status }) => {
    const { db, url, drop } = await freshDatabase()
    await db.pool.query(`do $$ begin execute format('alter database %I set plan_cache_mode = force_generic_plan',
                                                  current_database()); end $$`)
    const patient = connect({
      url: `${url}?options=-c%20lock_timeout%3D30s`,
      max: 5,
      name: 'millrace-patient',
    })
    const startedAt = await postgresStart(db)
    for (let race = 0; race < 20; race++) {
      const given = await givenPrediction(patient, status, { tags: { team: 'red' } })
      const { succeeded } = endings(given)
      const move = () =>
        status === 'starting'
          ? begin(lifecycleOn(patient), [given])
          : settle(lifecycleOn(patient), succeeded ? [succeeded] : [])
      // The deletion stands still after its first step, until the other one waits for it.
      const [hidden, moved] = await transaction(db, async (client) => {
        await client.query('select from prediction_tags where prediction_id = $1 for update', [given.id])
        const hiding = hide(patient, given.draft.accountId, given.id)
        await untilWaiting(db, 1)
        const moving = move()
        const waiting = await untilWaiting(db, 2)
        // Not in the statement that moves it: that would have to re-check the row.
        expect(waiting.toSorted()).toEqual([
          expect.stringMatching(/^select from runs /),
          expect.stringMatching(/^with unlisted /),
        ])
        return [hiding, moving] as const
      }).then((both) => Promise.all(both))

      expect(hidden).toBe(true)
      expect(moved).toMatchObject([{ id: given.id, deleted_at: expect.any(Date) }])
    }
    expect(await postgresStart(db)).toEqual(startedAt)
    await patient.close()
    await drop()
  },
)

/** Until so many connections wait for a lock: what they say, the last one last. */
async function untilWaiting({ pool }: Database, count: number): Promise<string[]> {
  return await until(
    async () => {
      const { rows } = await pool.query<{ query: string }>(
        // Who waits is read after what is asked, and a backend may come from there to its wait in between.
        `select query from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock' and query not in ('begin', 'commit')
         order by query_start`,
      )
      return rows.length === count && rows.map(({ query }) => query)
    },
    { what: `${count} connections to wait` },
  )
}

test('endings that are chosen to break a deadlock are done all the same', async () => {
  const { db, url, drop } = await freshDatabase()
  const patient = connect({ url, max: 1, name: 'millrace-test', settings: { lock_timeout: '20s' } })
  const gate = await db.pool.connect()
  const other = await db.pool.connect()
  // It is not the one that looks for a deadlock, however long it waits.
  await other.query("set lock_timeout = '50s'; set deadlock_timeout = '50s'")

  for (let deadlock = 0; deadlock < 3; deadlock++) {
    const given = []
    for (let n = 0; n < 3; n++) given.push(await givenPrediction(db, 'processing'))
    const [first, second, third] = given.map(({ id }) => [id]).sort()
    await gate.query('begin')
    await gate.query(lockRun, second)
    await other.query('begin')
    await other.query(lockRun, third)
    const settled = settle(
      lifecycleOn(patient),
      given.flatMap((one) => endings(one).succeeded ?? []),
    )
    await untilWaiting(db, 1)
    const held = other.query(lockRun, first)
    await untilWaiting(db, 2)
    // The endings, which hold the first run, waited for the second; now they come to the third run, which the other transaction holds.
    await gate.query('rollback')
    await held
    await other.query('rollback')
    expect((await settled).map((row) => row?.status)).toEqual(['succeeded', 'succeeded', 'succeeded'])
  }

  gate.release(true)
  other.release(true)
  await patient.close()
  await drop()
})

const lockRun = 'select from runs where prediction_id = $1 for update'

/** When the server last began to serve; a crash of one backend moves it. */
async function postgresStart(db: Database): Promise<unknown> {
  const { rows } = await db.pool.query(
    `select max(backend_start) from pg_stat_activity where backend_type = 'checkpointer'`,
  )
  return rows[0]
}
