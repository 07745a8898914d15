import { accept, type Draft } from '@millrace/lifecycle/accept'
import { begin } from '@millrace/lifecycle/begin'
import { claim } from '@millrace/lifecycle/claim'
import { findPrediction } from '@millrace/lifecycle/find'
import { endOverdue, prolongStarts } from '@millrace/lifecycle/overdue'
import { releaseWorker } from '@millrace/lifecycle/release'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callerOf, refusalOf } from './api-caller.ts'
import { draft, lifecycleOn } from './given-predictions.ts'
import { startTestWorker } from './given-worker.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.drop())

test('what has not begun within its expires_in is claimed no more, and fails with EXPIRED', async () => {
  const made = await given({ expiresIn: 60 })
  await passes(made, 60)

  expect(await take(made)).toEqual([])
  expect(await sweep()).toEqual([made.id])
  expect(await shown(made)).toMatchObject({
    status: 'failed',
    error_id: 'EXPIRED',
    attempt: 0,
    started_at: null,
  })
})

test('until then it is claimed, and told how long it has', async () => {
  const made = await given({ expiresIn: 60 })
  await passes(made, 30)
  expect(await sweep()).toEqual([])

  const [held] = await take(made)

  expect(held).toMatchObject({ id: made.id, expires: true })
  const left = (held?.startBy ?? 0) - performance.now()
  expect(left).toBeGreaterThan(20_000)
  expect(left).toBeLessThanOrEqual(30_000)
})

test('the boundary is of the database’s clock: at every moment it can be claimed or has expired, never both', async () => {
  const made = await given({ expiresIn: 60 })
  await database.db.pool.query(
    `update runs set expires_at = clock_timestamp() + interval '100 ms' where prediction_id = $1`,
    [made.id],
  )
  const seen = await until(
    async () => {
      const { rows } = await database.db.pool.query<{ expired: boolean }>(
        'select expires_at <= clock_timestamp() as expired from runs where prediction_id = $1',
        [made.id],
      )
      return rows[0]?.expired
    },
    { what: 'the moment' },
  )
  expect(seen).toBe(true)
  expect(await take(made)).toEqual([])
  expect(await sweep()).toEqual([made.id])
})

test('what has begun does not expire, also when it is run again', async () => {
  const made = await given({ expiresIn: 60 })
  const [held] = await take(made)
  await begin(lifecycleOn(database.db), [{ id: made.id, attempt: held?.attempt ?? 0 }])
  await passes(made, 120)
  await releaseWorker(database.db, 'a-worker')

  expect(await sweep()).toEqual([])
  expect(await take(made)).toMatchObject([{ attempt: 2 }])
})

test('whichever comes first ends the wait: the time to start, or the expiry', async () => {
  const soon = await given({ expiresIn: 600, timeouts: { start: 60, run: 60 } })
  await passes(soon, 61)
  await sweep()
  expect(await shown(soon)).toMatchObject({ error_id: 'START_TIMEOUT' })
})

test('with a later start it counts from then', async () => {
  const made = await given({ expiresIn: 60, runAt: new Date(Date.now() + 3_600_000) })
  const { rows } = await database.db.pool.query(
    'select extract(epoch from expires_at - run_at)::float8 as seconds from runs where prediction_id = $1',
    [made.id],
  )
  expect(rows).toEqual([{ seconds: 60 }])
  expect(await sweep()).toEqual([])
})

test('the time that the database was away gives nothing back to what has expired', async () => {
  const made = await given({ expiresIn: 60 })
  const other = await given({})
  const asked = Date.now() / 1000
  const presence = { asked, since: asked, missed: 3_600 }

  expect(await prolongStarts(database.db, { leaseSeconds: 15, presence })).toBeGreaterThan(0)
  expect(await prolongStarts(database.db, { leaseSeconds: 15, presence })).toBe(0)
  await passes(made, 60)

  // It has been there for no lease yet: nothing but what nobody ever held is judged.
  expect(await endOverdue(lifecycleOn(database.db), 0, { leaseSeconds: 15, presence })).toEqual([made.id])
  expect(await shown(other)).toMatchObject({ status: 'pending' })
})

test('a model that is not ready by then is stopped, and the prediction has expired', async () => {
  const worker = await startTestWorker()
  const prediction = await worker.create('slow-start', {}, { expiresIn: 1 })

  expect(await prediction.reaches('failed')).toMatchObject({ error_id: 'EXPIRED', started_at: null })
  await worker.stop()
})

test('by the API it expires while nobody serves its model, and says what was asked for', async () => {
  const service = await startService({ queue: 'redis', workers: 0, env: { SWEEP_SECONDS: '0.1' } })
  const call = callerOf(service.url, service.apiKey)
  const create = (more: object) =>
    call('POST /v1/predictions', { body: { model: 'echo', input: {}, ...more } })

  const { body } = await create({ expires_in: 1, await: true })

  expect(body).toMatchObject({
    status: 'failed',
    error_id: 'EXPIRED',
    metadata: { expires_in: 1, billing: { credits_used: 0 }, attempts: 0 },
  })
  for (const wrong of [0, 1.5, '60', 15 * 86_400])
    expect(refusalOf(await create({ expires_in: wrong }))).toMatchObject({
      status: 400,
      fields: ['expires_in'],
    })
  await service.stop()
})

async function given(about: Partial<Draft>): Promise<Draft> {
  const made = draft(about)
  await accept(lifecycleOn(database.db), [made])
  return made
}

/** So many seconds pass for a run. */
async function passes({ id }: Draft, seconds: number): Promise<void> {
  await database.db.pool.query(
    `update runs set expires_at = expires_at - i, start_by = start_by - i, run_at = run_at - i
     from make_interval(secs => $2) as i where prediction_id = $1`,
    [id, seconds],
  )
}

function take({ model }: Draft) {
  return claim(lifecycleOn(database.db), { model, limit: 10, worker: 'a-worker', leaseSeconds: 60 })
}

const sweep = () => endOverdue(lifecycleOn(database.db), 0)

const shown = ({ accountId, id }: Draft) => findPrediction(database.db, accountId, id)
