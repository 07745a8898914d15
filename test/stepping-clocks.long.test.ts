import { corrected, databaseNow, keepClock, measureClock } from '@millrace/database/clock'
import { connect, type Database } from '@millrace/database/connect'
import { newId, newIdAt, timeOfId } from '@millrace/database/ids'
import { begin } from '@millrace/lifecycle/begin'
import { claim } from '@millrace/lifecycle/claim'
import { endOverdue } from '@millrace/lifecycle/overdue'
import { settle } from '@millrace/lifecycle/settle'
import { freePort } from '@millrace/standalone/ports'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { uuidOf } from './api-caller.ts'
import { claimed, endings, givenPrediction, lifecycleOn } from './given-predictions.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'
import { canSetClocks, steppingClock } from './harness/wrong-clock.ts'

test.runIf(canSetClocks).each(['api', 'worker'] as const)(
  'nothing is late and nothing waits when a clock is set while its process runs: %s',
  async (app) => {
    const clock = steppingClock()
    onTestFinished(clock.remove)
    const service = await startService({
      queue: 'postgres',
      apis: 0,
      workers: 0,
      env: { LEASE_SECONDS: '5' },
    })
    onTestFinished(() => service.stop())
    const PORT = String(await freePort())
    const own = (one: string) => (one === app ? clock.environment : {})
    const api = await service.start('api', { PORT, ...own('api') })
    const worker = await service.start('worker', own('worker'))
    const stepped = app === 'api' ? api : worker
    const url = `http://127.0.0.1:${PORT}`
    expect(await endOf(service, await create(service, url))).toMatchObject({ status: 'succeeded' })

    for (const [offset, hours] of [
      ['+1h', 1],
      ['-1h', -1],
      ['+1d', 24],
    ] as const) {
      clock.set(offset)
      const id = await create(service, url)

      expect(await endOf(service, id)).toEqual({
        status: 'succeeded',
        attempt: 1,
        dated: true,
        ordered: true,
      })
      expect(await deliveriesOf(service, id)).toEqual({ owed: 3, dated: true })
      // The process had that time indeed: its log tells.
      await until(() => Math.round(offsetOf(stepped.log()) / 3_600_000) === hours, {
        what: 'the log of that time',
      })
    }
  },
  60_000,
)

async function create({ apiKey }: Service, url: string): Promise<string> {
  const answer = await fetch(`${url}/v1/predictions`, {
    method: 'POST',
    headers: { 'x-api-key': apiKey, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'echo',
      input: { text: 'hello' },
      webhook: { url: 'http://127.0.0.1:9/', events: ['prediction.created', 'started', 'completed'] },
    }),
  })
  expect(answer.status).toBe(201)
  const { id } = (await answer.json()) as { id: string }
  return uuidOf(id)
}

async function endOf({ db }: Service, id: string): Promise<unknown> {
  return until(
    async () => {
      const { rows } = await db.pool.query(
        `select status, attempt, created_at <= started_at and started_at <= completed_at as ordered,
           abs(extract(epoch from clock_timestamp() - created_at)) < 20
             and id between uuid_floor(created_at - interval '1 s') and uuid_floor(created_at + interval '1 s') as dated
         from predictions where id = $1 and completed_at is not null`,
        [id],
      )
      return rows[0]
    },
    { within: 15_000, what: 'its end' },
  )
}

async function deliveriesOf({ db }: Service, id: string): Promise<unknown> {
  const { rows } = await db.pool.query(
    `select count(*)::int as owed,
       bool_and(id between uuid_floor(created_at - interval '1 s') and uuid_floor(created_at + interval '1 s')) as dated
     from deliveries where prediction_id = $1`,
    [id],
  )
  return rows[0]
}

function offsetOf(log: string): number {
  const [, time = ''] = [...log.matchAll(/"time":"([^"]+)"/g)].at(-1) ?? []
  return new Date(time).getTime() - Date.now()
}

test('of any looks at the clock, the quickest bounds how far the result is off', () => {
  const delay = fc.double({ min: 0, max: 10_000, noNaN: true })
  fc.assert(
    fc.property(
      fc.double({ min: -1e12, max: 1e12, noNaN: true }),
      fc.array(fc.record({ there: delay, back: delay }), { minLength: 1 }),
      (distance, looks) => {
        const found = looks.reduce<number | undefined>((known, { there, back }, n) => {
          const asked = n * 60_000
          return corrected(known, {
            sent: asked,
            said: asked + there + distance,
            received: asked + there + back,
          })
        }, undefined)

        const quickest = Math.min(...looks.map(({ there, back }) => there + back))
        expect(Math.abs((found ?? Number.NaN) - distance)).toBeLessThanOrEqual(quickest + 0.01)
      },
    ),
  )
})

test('an id of a told moment comes after those that were made in its millisecond', () => {
  const ids = Array.from({ length: 1_000 }, newId)
  const told = ids.map((id) => newIdAt(new Date(timeOfId(id))))

  expect(told.every((id, n) => id > (ids[n] ?? '') && timeOfId(id) === timeOfId(ids[n] ?? ''))).toBe(true)
  expect(new Set(told).size).toBe(1_000)
})

describe('on a database', () => {
  let database: FreshDatabase
  beforeAll(async () => {
    database = await freshDatabase()
  })
  afterAll(() => database.drop())

  test.each([1, -1])(
    'what is dated %i h off can be claimed at once, and ends after it was made',
    async (hours) => {
      const { db } = database
      const createdAt = new Date(Date.now() + hours * 3_600_000)
      const { id, draft } = await givenPrediction(db, 'pending', { createdAt })

      expect(await endOverdue(lifecycleOn(db), 0)).toEqual([])
      const fence = await claimed(db, draft.model)
      await begin(lifecycleOn(db), [fence])
      const [ended] = await settle(lifecycleOn(db), [endings(fence).succeeded ?? expect.unreachable()])

      expect(ended).toMatchObject({ id, status: 'succeeded', created_at: createdAt })
    },
  )

  test('the wait for a connection does not count as a distance between the clocks', async () => {
    const { pool } = database.db
    const busy = await Promise.all(Array.from({ length: pool.options.max ?? 0 }, () => pool.connect()))
    const measured = measureClock(pool)
    await busy[0]?.query('select pg_sleep(0.5)')
    for (const client of busy) client.release()
    await measured

    expect(await distance(database)).toBeLessThan(100)
  })

  test('after the machine slept, its clock is right within seconds', async () => {
    await measureClock(database.db.pool)
    const timer = keepClock(database.db.pool)
    onTestFinished(() => clearInterval(timer))
    // The monotonic clock stood still meanwhile.
    const { now } = performance
    const asleep = vi
      .spyOn(performance, 'now')
      .mockImplementation(() => now.call(performance) - 8 * 3_600_000)
    onTestFinished(async () => {
      asleep.mockRestore()
      await measureClock(database.db.pool)
    })

    expect(await distance(database)).toBeGreaterThan(7 * 3_600_000)
    await until(async () => (await distance(database)) < 100, { what: 'the clock to be right' })
  })
})

describe('when the clock of the database is set', () => {
  let database: FreshDatabase
  let db: Database
  const setClock = (ahead: string) => db.pool.query('update clock set ahead = $1', [ahead])

  beforeAll(async () => {
    database = await freshDatabase()
    const { pool } = database.db
    const { rows } = await pool.query('select current_database() as name')
    await pool.query(`create table clock (ahead interval not null)`)
    await pool.query(`create function clock_timestamp() returns timestamptz language sql volatile
      as 'select pg_catalog.clock_timestamp() + ahead from public.clock'`)
    await pool.query(`alter database ${rows[0].name} set search_path = public, pg_catalog`)
    await pool.query(`insert into clock values ('0')`)
    // The setting holds for new connections.
    db = connect({ url: database.url, name: 'millrace-test' })
  })
  afterEach(async () => {
    await setClock('0')
    await measureClock(db.pool)
  })
  afterAll(async () => {
    await db.close()
    await database.drop()
  })

  test('ids follow it, forwards and backwards', async () => {
    for (const ahead of ['1 hour', '-1 hour', '0']) {
      await setClock(ahead)
      await measureClock(db.pool)
      const { rows } = await db.pool.query('select clock_timestamp() as now')
      expect(Math.abs(timeOfId(newId()) - rows[0].now.getTime())).toBeLessThan(1_000)
    }
  })

  test('ids rise all the same when it was little', async () => {
    await measureClock(db.pool)
    const before = Array.from({ length: 10 }, () => newId())
    await setClock('-500 ms')
    await measureClock(db.pool)
    const after = Array.from({ length: 10 }, () => newId())

    expect([...before, ...after].toSorted()).toEqual([...before, ...after])
  })

  test.each(['1 hour', '-1 hour'])(
    'by %s, a run has all its time to start, measured anew or not',
    async (ahead) => {
      await setClock('0')
      await measureClock(db.pool)
      await setClock(ahead)
      const { draft } = await givenPrediction(db, 'pending', { timeouts: { start: 600, run: 600 } })
      const request = { model: draft.model, limit: 1, worker: 'a-worker', leaseSeconds: 60 }
      const [held] = await claim(lifecycleOn(db), request)

      const left = ((held?.startBy ?? Number.NaN) - performance.now()) / 1_000
      expect(left).toBeLessThan(600)
      expect(left).toBeGreaterThan(580)
    },
  )
})

/** How many milliseconds our idea of the database's clock is off, at most. */
async function distance({ db }: FreshDatabase): Promise<number> {
  const client = await db.pool.connect()
  const distances: number[] = []
  for (let n = 0; n < 5; n++) {
    const sent = databaseNow()
    const { rows } = await client.query(
      `select (extract(epoch from clock_timestamp()) * 1000)::float8 as now`,
    )
    distances.push(Math.max(sent - rows[0].now, rows[0].now - databaseNow()))
  }
  client.release()
  return Math.min(...distances)
}
