import { keepLines } from '@millrace/api/lines'
import type { Priority } from '@millrace/contract/priorities'
import { connect } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { accept } from '@millrace/lifecycle/accept'
import { limitText } from '@millrace/lifecycle/caps'
import { claim } from '@millrace/lifecycle/claim'
import { findPrediction } from '@millrace/lifecycle/find'
import { limitBefore, placeIn, readLine, waitingIn } from '@millrace/lifecycle/line'
import { saveRunTimes } from '@millrace/lifecycle/run-times'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiCaller, callerOf } from './api-caller.ts'
import { givenOnPlan } from './given-limits.ts'
import { draft, lifecycleOn } from './given-predictions.ts'
import { beginRun } from './given-runs.ts'
import { startTestWorker } from './given-worker.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

let database: FreshDatabase
let service: Service
let call: ApiCaller
beforeAll(async () => {
  database = await freshDatabase()
  service = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  call = callerOf(service.url, service.apiKey)
})
afterAll(async () => {
  await service.stop()
  await database.drop()
})

test('places are counted from the front, and those that run have none', async () => {
  const model = newId()
  const ids = await givenWaiting(model, Array(6).fill('normal'))
  await take(model, 2)

  expect(await placesOf(model, ids.slice(2))).toEqual([1, 2, 3, 4])
})

test('what is more urgent goes before, as far as its turns reach', async () => {
  const model = newId()
  const low = await givenWaiting(model, ['low', 'low'])
  const normal = await givenWaiting(model, Array(20).fill('normal'))
  const high = await givenWaiting(model, Array(4).fill('high'))

  // Before the first low one six of high would go, but there are four, and three of normal.
  expect(await placesOf(model, low)).toEqual([8, 12])
  expect(await placesOf(model, high)).toEqual([1, 3, 4, 6])
  expect(await placesOf(model, normal.slice(-1))).toEqual([26])
})

test('what waits of other accounts goes before as far as their turns reach, each by its weight', async () => {
  const model = newId()
  const heavy = await givenOnPlan(database.db, { weight: 3 })
  const others = [newId(), newId()]
  await givenWaiting(model, Array(500).fill('normal'), heavy)
  for (const other of others) await givenWaiting(model, Array(2).fill('normal'), other)
  const ids = await givenWaiting(model, Array(4).fill('normal'))

  // Three of the heavy one for each, and one of each other as long as they have any.
  expect(await placesOf(model, ids)).toEqual([6, 12, 16, 20])
  expect((await placesOf(model, (await givenWaiting(model, ['normal'], heavy)).slice(-1), heavy))[0]).toBe(
    509,
  )
})

test('who waits for their account to have room is told so, and when that will be', async () => {
  const model = newId()
  const limited = await givenOnPlan(database.db, { limits: { running: 2, models: { '*': { running: 5 } } } })
  await givenWaiting(model, Array(5).fill('normal'), limited)
  await saveRunTimes(database.db, new Map([[model, [10]]]))
  const waiting = { priority: 'normal' as const, account: limited, turn: Number.POSITIVE_INFINITY }
  const before = await readLine(database.db, model)
  expect(limitBefore(before, waiting)).toBeUndefined()

  await take(model, 5)

  const line = await readLine(database.db, model)
  expect(limitBefore(line, waiting)).toMatchObject({ name: `account ${limited}`, limit: 2, held: 2 })
  expect(limitText(limitBefore(line, waiting) ?? { name: '', limit: 0 })).toBe(
    'Its account may run 2 at a time.',
  )
  expect(limitText({ name: 'key a model b', limit: 3 })).toBe('Its key may run 3 of this model at a time.')
  // Three wait before it, two run at a time, ten seconds each.
  expect(placeIn(line, waiting, 0)).toMatchObject({ position: 4, estimated_seconds: 20 })
  expect(limitBefore(line, { ...waiting, account: newId() })).toBeUndefined()
})

test('behind the first hundred, places are about right, and the last one is known', async () => {
  const model = newId()
  const ids = await givenWaiting(model, Array(350).fill('normal'))

  const places = await placesOf(model, ids)

  expect(places.slice(0, 101)).toEqual(Array.from({ length: 101 }, (_, n) => n + 1))
  for (const [n, place] of places.entries()) expect(Math.abs(place - (n + 1))).toBeLessThan(100)
  const line = await readLine(database.db, model)
  const next = placeIn(line, { priority: 'normal', account, turn: Number.POSITIVE_INFINITY }, 0)
  expect(next.position).toBe(351)
})

test('a line is counted to ten thousand', async () => {
  const model = newId()
  await database.db.pool.query(
    `insert into runs (prediction_id, account_id, model, pool, run_at, start_by)
     select gen_random_uuid(), $1, $2, 'default', clock_timestamp(), clock_timestamp() + interval '1 day'
     from generate_series(1, 10001)`,
    [account, model],
  )
  const line = await readLine(database.db, model)

  expect(waitingIn(line)).toEqual({ waiting: 10_000, capped: true })
  expect(placeIn(line, { priority: 'normal', account, turn: Number.POSITIVE_INFINITY }, 0)).toMatchObject({
    position: 10_001,
    position_capped: true,
  })
})

test('the start is estimated from what runs took and how many run at a time', async () => {
  const model = newId()
  const waiting = { priority: 'normal' as const, account, turn: Number.POSITIVE_INFINITY }
  await givenWaiting(model, Array(6).fill('normal'))
  const estimate = async () => placeIn(await readLine(database.db, model), waiting, 0)

  expect(await estimate()).toMatchObject({ position: 7, estimated_seconds: null, estimated_start_at: null })
  await saveRunTimes(database.db, new Map([[model, [10, 20, 30]]]))
  expect(await estimate()).toMatchObject({ estimated_seconds: null })

  await take(model, 2)
  // Two at a time, twenty seconds each: the fifth begins when five places came free.
  expect(await estimate()).toEqual({
    position: 5,
    estimated_seconds: 50,
    estimated_start_at: '1970-01-01T00:00:50.000Z',
  })
})

test('a create and a get tell the place while it waits, and lists do not', async () => {
  await cancelAll()
  const first = await create()
  const second = await create()
  expect(first.metadata.queue).toMatchObject({ position: 1, estimated_seconds: null })

  await reaches(second.id, 2)
  const { data } = (await call('GET /v1/predictions')).body
  for (const { metadata } of data) expect(metadata).not.toHaveProperty('queue')

  const before = await call(`GET /v1/predictions/${second.id}`)
  await call(`POST /v1/predictions/${first.id}/cancel`)
  await reaches(second.id, 1)
  const etag = before.headers.get('etag') ?? ''
  const after = await call(`GET /v1/predictions/${second.id}`, { headers: { 'if-none-match': etag } })
  expect(after).toMatchObject({ status: 200, body: { metadata: { queue: { position: 1 } } } })

  await beginRun(service.db, second.id)
  expect((await get(second.id)).metadata).not.toHaveProperty('queue')
})

test('whoever asks, and however often, a line is read four times a second at most', async () => {
  const db = connect({ url: database.url, name: 'millrace-test' })
  let statements = 0
  db.pool.on('acquire', () => statements++)
  const lines = keepLines(db)

  await Promise.all(Array.from({ length: 50 }, () => lines.of('a-model')))
  const ofOneRead = statements
  const begun = performance.now()
  for (let n = 0; n < 1_000; n++) await lines.of('a-model')

  const seconds = (performance.now() - begun) / 1000
  expect(ofOneRead).toBeLessThanOrEqual(3)
  expect(statements).toBeLessThanOrEqual(ofOneRead * (1 + Math.ceil(4 * seconds)))
  await lines.of('another')
  expect(statements).toBeGreaterThan(ofOneRead)
  await db.close()
})

test('a line that could not be read is read again', async () => {
  const db = connect({ url: database.url, name: 'millrace-test' })
  const lines = keepLines(db)
  await db.pool.query('alter table run_times rename to elsewhere')
  await expect(lines.of('a-model')).rejects.toThrow('run_times')
  await db.pool.query('alter table elsewhere rename to run_times')
  expect(await lines.of('a-model')).toMatchObject({ running: 0 })
  await db.close()
})

test('a run that had to start its model had a cold boot, the next one not, and nothing is said before', async () => {
  const worker = await startTestWorker()
  const created = await worker.create('fragile', { ms: 0 })
  expect(await created.reaches('succeeded')).toMatchObject({ cold_boot: true })
  const warm = await worker.create('fragile', { ms: 0 })
  expect(await warm.reaches('succeeded')).toMatchObject({ cold_boot: false })
  // Its input may hold files, so it is never claimed and begun in one move.
  const files = await worker.create('read-file', { file: 'data:text/plain,hello' })
  expect(await files.reaches('succeeded')).toMatchObject({ cold_boot: true })
  const again = await worker.create('read-file', { file: 'data:text/plain,hello' })
  expect(await again.reaches('succeeded')).toMatchObject({ cold_boot: false })
  expect((await create()).metadata.cold_boot).toBeNull()
  await worker.stop()
})

async function cancelAll(): Promise<void> {
  const { data } = (await call('GET /v1/predictions?per_page=50')).body
  for (const { id } of data) await call(`POST /v1/predictions/${id}/cancel`)
  // What was read of the line a moment ago still has it.
  await until(async () => (await call('GET /v1/models/echo/health')).body.queue.waiting === 0, {
    what: 'an empty line',
  })
}

async function create() {
  return (await call('POST /v1/predictions', { body: { model: 'echo', input: {} } })).body
}

async function get(id: string) {
  return (await call(`GET /v1/predictions/${id}`)).body
}

async function reaches(id: string, position: number): Promise<void> {
  await until(async () => (await get(id)).metadata.queue?.position === position, {
    what: `${id} to be at ${position}`,
  })
}

async function givenWaiting(model: string, urgent: Priority[], of = account): Promise<string[]> {
  const drafts = urgent.map((priority) => draft({ model, priority, accountId: of }))
  await accept(lifecycleOn(database.db), drafts)
  return drafts.map(({ id }) => id)
}

async function take(model: string, limit: number): Promise<void> {
  await claim(lifecycleOn(database.db), { model, limit, worker: 'a-worker', leaseSeconds: 60, draw: 0 })
}

async function placesOf(model: string, ids: string[], of = account): Promise<number[]> {
  const line = await readLine(database.db, model)
  const rows = await Promise.all(ids.map((id) => findPrediction(database.db, of, id)))
  return rows.map(
    (row) =>
      placeIn(line, { priority: row?.priority ?? 'normal', account: of, turn: row?.turn ?? 0 }, 0).position,
  )
}

const account = newId()
