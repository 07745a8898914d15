import type { Priority } from '@millrace/contract/priorities'
import { connect, type Database, plannedOnce } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { accept } from '@millrace/lifecycle/accept'
import { claim } from '@millrace/lifecycle/claim'
import { turnsOf } from '@millrace/lifecycle/turns'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callerOf, refusalOf } from './api-caller.ts'
import { draft, lifecycleOn } from './given-predictions.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { startService } from './harness/service.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.drop())

test('of ten turns high has six, normal three and low one, one at a time and many at once', async () => {
  for (const atOnce of [1, 2, 5, 10]) {
    const model = newId()
    const given = await givenWaiting(model, { high: 130, normal: 130, low: 130 })

    const taken: string[] = []
    for (let n = 0; n < 20; n++) {
      // Every draw there is, evenly, in an order of no meaning.
      taken.push(...(await take(model, atOnce, ((n * 7) % 20) / 20 + 0.01)))
    }

    const counts = (['high', 'normal', 'low'] as const).map(
      (priority) => taken.filter((id) => given[priority].includes(id)).length,
    )
    expect([atOnce, ...counts]).toEqual([atOnce, 12 * atOnce, 6 * atOnce, 2 * atOnce])
  }
})

test('under a steady flood of high, low has its share, and the flood has the rest', async () => {
  const model = newId()
  const { low } = await givenWaiting(model, { high: 20, low: 100 })

  const taken: string[] = []
  for (let n = 0; n < 200; n++) {
    taken.push(...(await take(model, 1)))
    await givenWaiting(model, { high: 1 })
  }

  // By chance: fewer than 4 or more than 45 come up once in a hundred thousand.
  const lucky = taken.filter((id) => low.includes(id)).length
  expect(lucky).toBeGreaterThanOrEqual(4)
  expect(lucky).toBeLessThanOrEqual(45)
  expect(taken).toHaveLength(200)
})

test('turns that a priority cannot use fall to the others: a claim is never short while runs wait', async () => {
  for (const only of ['high', 'normal', 'low'] as const) {
    const model = newId()
    const given = await givenWaiting(model, { [only]: 12 })
    expect(new Set(await take(model, 12))).toEqual(new Set(given[only]))
  }
  const model = newId()
  await givenWaiting(model, { high: 1, normal: 1, low: 9 })
  expect(await take(model, 20)).toHaveLength(11)
})

test('within a priority the first one in is the first one out', async () => {
  const model = newId()
  const given = await givenWaiting(model, { high: 30, normal: 30, low: 30 })

  const taken: string[] = []
  while (taken.length < 90) taken.push(...(await take(model, 1)))

  for (const ids of Object.values(given)) expect(taken.filter((id) => ids.includes(id))).toEqual(ids)
})

test('many workers at once take each run once, and leave none', async () => {
  const model = newId()
  const given = await givenWaiting(model, { high: 40, normal: 40, low: 40 })

  const taken = (await Promise.all(Array.from({ length: 30 }, () => take(model, 4)))).flat()
  for (let more = await take(model, 4); more.length > 0; more = await take(model, 4)) taken.push(...more)

  expect(taken.toSorted()).toEqual(Object.values(given).flat().sort())
})

test('what is drawn shares every number of turns as it should on average', () => {
  const draws = Array.from({ length: 1_000 }, (_, n) => (n + 0.5) / 1_000)
  for (const limit of [1, 3, 8, 16]) {
    const turns = draws.map((draw) => turnsOf(limit, draw))
    const mean = (n: 0 | 1) => turns.reduce((sum, one) => sum + one[n], 0) / turns.length
    expect(mean(0)).toBeCloseTo(limit * 0.1, 2)
    expect(mean(1)).toBeCloseTo(limit * 0.3, 2)
    for (const [low, normal] of turns) expect(low + normal).toBeLessThanOrEqual(limit)
  }
})

test('what an api of the previous version adds is normal, and comes after what waits', async () => {
  const model = newId()
  const { normal } = await givenWaiting(model, { normal: 2 })
  const old = draft({ model })
  await accept(lifecycleOn(database.db), [old])
  await database.db.pool.query(
    `with gone as (delete from runs where prediction_id = $1 returning *)
     insert into runs (prediction_id, account_id, model, pool, run_at, start_by)
     select prediction_id, account_id, model, pool, run_at, start_by from gone`,
    [old.id],
  )

  const taken: string[] = []
  for (let n = 0; n < 3; n++) taken.push(...(await take(model, 1)))

  expect(taken).toEqual([...normal, old.id])
})

test('a claim reads the fronts of the lines, however many wait', async () => {
  const model = newId()
  await givenWaiting(model, { high: 2_000, normal: 2_000, low: 2_000 }, newId())
  await database.db.pool.query('vacuum analyze runs')

  const db = connect({ url: database.url, max: 1, name: 'millrace-test', settings: plannedOnce })
  const before = await entriesRead(db)
  const taken = await claim(lifecycleOn(db), { model, limit: 8, worker: 'a-worker', leaseSeconds: 60 })
  const read = (await entriesRead(db)) - before
  await db.close()

  expect(taken).toHaveLength(8)
  expect(read).toBeGreaterThanOrEqual(8)
  expect(read).toBeLessThan(30)
})

test('the priority is shown, and one that there is not is refused', async () => {
  const service = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  const call = callerOf(service.url, service.apiKey)
  const create = (more: object) =>
    call('POST /v1/predictions', { body: { model: 'echo', input: {}, ...more } })

  const made = await create({ priority: 'low' })
  expect(made.body.metadata).toMatchObject({ priority: 'low' })
  expect((await call(`GET /v1/predictions/${made.body.id}`)).body.metadata).toMatchObject({ priority: 'low' })
  expect((await create({})).body.metadata).toMatchObject({ priority: 'normal' })
  expect((await call('GET /v1/predictions')).body.data[1].metadata).toMatchObject({ priority: 'low' })
  expect(refusalOf(await create({ priority: 'urgent' }))).toMatchObject({
    status: 400,
    id: 'INVALID_PARAMETER',
    fields: ['priority'],
  })
  await service.stop()
})

/** So many of each priority, accepted one after the other; of an account each, or all of one. Answers their ids in that order. */
async function givenWaiting(
  model: string,
  counts: Partial<Record<Priority, number>>,
  accountId?: string,
): Promise<Record<Priority, string[]>> {
  const ids: Record<Priority, string[]> = { high: [], normal: [], low: [] }
  const drafts = Object.entries(counts).flatMap(([priority, count]) =>
    Array.from({ length: count }, () =>
      draft({ model, priority: priority as Priority, ...(accountId === undefined ? {} : { accountId }) }),
    ),
  )
  for (const { id, priority } of drafts) ids[priority].push(id)
  await accept(lifecycleOn(database.db), drafts)
  return ids
}

async function take(model: string, limit: number, drawn?: number): Promise<string[]> {
  const draw = drawn === undefined ? {} : { draw: drawn }
  const request = { model, limit, worker: 'a-worker', leaseSeconds: 60, ...draw }
  return (await claim(lifecycleOn(database.db), request)).map(({ id }) => id)
}

/** Entries of the line's index that this one connection has read so far. */
async function entriesRead({ pool }: Database): Promise<number> {
  await pool.query('select pg_stat_force_next_flush()')
  const { rows } = await pool.query<{ read: number }>(
    `select pg_stat_get_tuples_returned('runs_line'::regclass)::float8 as read`,
  )
  return rows[0]?.read ?? 0
}
