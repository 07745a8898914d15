import { newId } from '@millrace/database/ids'
import { createPartitionDrop } from '@millrace/dispatcher/sweep/drop-partitions'
import { ringLost } from '@millrace/dispatcher/sweep/ring-lost'
import { startDue } from '@millrace/dispatcher/sweep/start-due'
import { accept, type Draft } from '@millrace/lifecycle/accept'
import { requestCancel } from '@millrace/lifecycle/cancel'
import { claim } from '@millrace/lifecycle/claim'
import { endOverdue } from '@millrace/lifecycle/overdue'
import { findWaiting } from '@millrace/lifecycle/waiting'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { draft, lifecycleOn } from './given-predictions.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

const hour = 3_600_000

describe('what starts later', () => {
  let database: FreshDatabase
  let rung: string[]
  const bells = { ring: (pool: string, model: string) => void rung.push(`${pool} ${model}`) }
  beforeEach(async () => {
    database = await freshDatabase()
    rung = []
  })
  afterEach(() => database.drop())

  test('is in no line before its time, and in line and rung for from then on', async () => {
    const { model } = await given({ runAt: new Date(Date.now() + hour) })
    expect(await startDue(database.db, bells)).toBeUndefined()
    expect(await take(model)).toEqual([])

    await comes(model)

    // Not by its time alone: whoever claims reads the line only.
    expect(await take(model)).toEqual([])
    expect(await startDue(database.db, bells)).toEqual({ started: 1 })
    expect(rung).toEqual([`default ${model}`])
    expect(await take(model)).toHaveLength(1)
  })

  test('comes after what was there before it was due, and before what came later', async () => {
    const model = newId()
    const early = await given({ model })
    const due = await given({ model, runAt: new Date(Date.now() + hour) })
    await comes(model)
    const late = await given({ model })
    await startDue(database.db, bells)

    const order = [await take(model, 1), await take(model, 1), await take(model, 1)].flat()

    expect(order).toEqual([early.id, due.id, late.id])
  })

  test('is nothing that waits: no bell is rung for it, no worker starves, and its time to start counts from its time', async () => {
    const { id, model } = await given({
      runAt: new Date(Date.now() + hour),
      timeouts: { start: 60, run: 60 },
    })
    const { rows } = await database.db.pool.query(
      'select extract(epoch from start_by - run_at)::float8 as seconds from runs where prediction_id = $1',
      [id],
    )

    expect(rows).toEqual([{ seconds: 60 }])
    expect(await ringLost(database.db, bells)).toBeUndefined()
    expect(await findWaiting(database.db, [model], 0)).toEqual([])
    expect(await endOverdue(lifecycleOn(database.db), 0)).toEqual([])
  })

  test('whose time has passed starts now', async () => {
    const { model } = await given({ runAt: new Date(Date.now() - hour) })
    expect(await take(model)).toHaveLength(1)
  })

  test('is cancelled at once', async () => {
    const { id, model } = await given({ runAt: new Date(Date.now() + hour) })
    expect(await requestCancel(lifecycleOn(database.db), id)).toBe('settled')
    await comes(model)
    expect(await startDue(database.db, bells)).toBeUndefined()
  })

  test('starts all, batch by batch, the longest due first', async () => {
    const models = [newId(), newId(), newId()]
    for (const model of models) await given({ model, runAt: new Date(Date.now() + hour) })
    for (const [n, model] of models.entries()) await comes(model, 10 - n)

    expect(await startDue(database.db, bells, { atOnce: 1 })).toEqual({ started: 3 })

    expect(rung).toEqual(models.map((model) => `default ${model}`))
  })

  test('keeps the partition that it is in, however old that is', async () => {
    const { id } = await given({ runAt: new Date(Date.now() + hour) })
    const { pool } = database.db
    // Made, and to be started, in the days of a partition long past.
    const [from, to, inside] = ['2020-01-01', '2020-02-01', '2020-01-15'].map((day) => idAt(Date.parse(day)))
    await pool.query(
      `create table predictions_202001 partition of predictions for values from ('${from}') to ('${to}')`,
    )
    await pool.query(`update runs set prediction_id = $2 where prediction_id = $1`, [id, inside])
    const drop = createPartitionDrop({
      db: database.db,
      retention: { fileDays: 7, valueDays: 30, rowDays: 90 },
    })
    expect(await drop(performance.now() + 1_000)).toBe(0)

    await pool.query('delete from runs')
    const again = createPartitionDrop({
      db: database.db,
      retention: { fileDays: 7, valueDays: 30, rowDays: 90 },
    })
    expect(await again(performance.now() + 1_000)).toBe(1)
  })

  async function given(about: Partial<Draft>): Promise<Draft> {
    const made = draft(about)
    await accept(lifecycleOn(database.db), [made])
    return made
  }

  /** Its time has come, so many seconds ago. */
  async function comes(model: string, secondsAgo = 0): Promise<void> {
    await database.db.pool.query(
      `update runs set parked_until = at, run_at = at, turn = at
       from (select clock_timestamp() - make_interval(secs => $2) as at) t
       where model = $1 and parked_until is not null`,
      [model, secondsAgo],
    )
  }

  async function take(model: string, limit = 10): Promise<string[]> {
    const request = { model, limit, worker: 'a-worker', leaseSeconds: 60 }
    return (await claim(lifecycleOn(database.db), request)).map(({ id }) => id)
  }
})

describe('by the API', () => {
  let service: Service
  let call: ApiCaller
  beforeAll(async () => {
    service = await startService({ queue: 'redis', env: { SWEEP_SECONDS: '0.1' } })
    call = callerOf(service.url, service.apiKey)
  })
  afterAll(() => service.stop())

  const create = (more: object) =>
    call('POST /v1/predictions', { body: { model: 'echo', input: {}, ...more } })
  const inMs = (ms: number) => new Date(Date.now() + ms).toISOString()

  test('a prediction is pending until its run_at, starts by itself, and not before', async () => {
    const runAt = inMs(1_500)
    const { body } = await create({ run_at: runAt })
    expect(body).toMatchObject({ status: 'pending', metadata: { run_at: runAt } })
    expect(body.metadata).not.toHaveProperty('queue')

    const ended = await until(
      async () => {
        const shown = (await call(`GET /v1/predictions/${body.id}`)).body
        return shown.status === 'succeeded' && shown
      },
      { what: 'the prediction to be run' },
    )
    expect(Date.parse(ended.started_at)).toBeGreaterThanOrEqual(Date.parse(runAt))
    expect(ended.metadata.run_at).toBe(runAt)
  })

  test('a time with an offset is shown in UTC, and one that has passed means now', async () => {
    const { body } = await create({ run_at: '2020-01-01T01:00:00+01:00', await: true })
    expect(body).toMatchObject({ status: 'succeeded', metadata: { run_at: '2020-01-01T00:00:00.000Z' } })
    expect((await create({ run_at: '0000-01-01T00:00:00Z', await: true })).body.status).toBe('succeeded')
  })

  test.each<[string, object, Record<string, string>]>([
    ['await', { await: true }, {}],
    ['Prefer: wait', {}, { prefer: 'wait=50' }],
  ])(
    'nobody is kept waiting the 50 s of %s for what starts only after them',
    async (_what, more, headers) => {
      const body = { model: 'echo', input: {}, run_at: inMs(hour), ...more }
      const keyed = { ...headers, 'idempotency-key': `later ${JSON.stringify(more)}` }
      const made = await call('POST /v1/predictions', { body, headers: keyed })
      expect([made.status, made.body.status]).toEqual([201, 'pending'])
      const again = await call('POST /v1/predictions', { body, headers: keyed })
      expect([again.status, again.body.id]).toEqual([201, made.body.id])
    },
  )

  test('what starts within the wait is waited for', async () => {
    const { status, body } = await create({ run_at: inMs(500), await: true })
    expect([status, body.status]).toEqual([200, 'succeeded'])
  })

  test('one that waits for its time is cancelled at once', async () => {
    const { body } = await create({ run_at: inMs(hour) })
    expect((await call(`POST /v1/predictions/${body.id}/cancel`)).body.status).toBe('cancelled')
  })

  test.each([
    ['more than 14 days from now', () => inMs(15 * 24 * hour)],
    ['no time', () => 'tomorrow'],
    ['without its zone', () => '2030-01-01T00:00:00'],
  ])('one that is %s is refused by name', async (_what, runAt) => {
    expect(refusalOf(await create({ run_at: runAt() }))).toEqual({
      status: 400,
      id: 'INVALID_PARAMETER',
      fields: ['run_at'],
    })
  })
})

function idAt(ms: number): string {
  const hex = ms.toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`
}
