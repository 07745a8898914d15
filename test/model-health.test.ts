import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newId } from '@millrace/database/ids'
import { failuresToOpen, noteFailure } from '@millrace/hosts/hosts'
import { keptTimes, readRunTimes, saveRunTimes, summaryOf } from '@millrace/lifecycle/run-times'
import { announceWorker, dismissWorker, findWorkers } from '@millrace/lifecycle/workers'
import { createRunTimes } from '@millrace/worker/run-times'
import { expect, onTestFinished, test } from 'vitest'
import { callerOf, refusalOf } from './api-caller.ts'
import { freshDatabase } from './harness/database.ts'
import { startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

test('the health of a model tells its queue, its workers and its run times', {
  timeout: 60_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-health-'))
  await writeFile(join(folder, 'vendor.mjs'), sleeper)
  const service = await startService({
    queue: 'redis',
    workers: 0,
    env: { MODELS_DIR: folder, DRAIN_SECONDS: '1' },
  })
  onTestFinished(async () => {
    await service.stop()
    await rm(folder, { recursive: true })
  })
  const call = callerOf(service.url, service.apiKey)
  const health = async () => (await call('GET /v1/models/Vendor%2Fsleeper/health')).body
  const create = (ms: number) =>
    call('POST /v1/predictions', { body: { model: 'Vendor/sleeper', input: { ms } } })
  await create(20)
  await create(20)

  expect(await becomes(health, ({ queue }) => queue.waiting === 2)).toEqual({
    model: 'Vendor/sleeper',
    status: 'offline',
    reason: 'No worker serves this model.',
    hosts: [],
    queue: { waiting: 2, running: 0 },
    workers: 0,
    run_time: { median: null, p95: null, samples: 0 },
  })

  const worker = await service.start('worker')
  const shown = await becomes(health, ({ run_time }) => run_time.samples === 2)
  expect(shown).toMatchObject({
    status: 'operational',
    reason: null,
    workers: 1,
    queue: { waiting: 0, running: 0 },
  })
  expect(shown.run_time.median).toBeGreaterThanOrEqual(0.02)
  expect(shown.run_time.p95).toBeGreaterThanOrEqual(shown.run_time.median)

  const { body } = await create(60_000)
  await create(60_000)
  await becomes(health, ({ queue }) => queue.waiting === 1 && queue.running === 1)
  await call(`POST /v1/predictions/${body.id}/cancel`)

  await worker.stop()
  await becomes(health, ({ status, workers }) => status === 'offline' && workers === 0)
})

test('what keeps a model from being run is told by its health, by itself and by what waits for it', {
  timeout: 60_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-health-'))
  const settings = ['HEALTH_A', 'HEALTH_B'].map((name) => `\${${name}}`).join('')
  for (const [namespace, url] of Object.entries({
    far: 'http://192.0.2.1/run',
    bare: `http://192.0.2.2/${settings}`,
  })) {
    const description = {
      namespace,
      type: 'data',
      input_schema: { type: 'object' },
      provider: { kind: 'http', url },
    }
    await writeFile(join(folder, `${namespace}.json`), JSON.stringify(description))
  }
  const service = await startService({
    queue: 'redis',
    workers: 0,
    dispatchers: 0,
    env: { MODELS_DIR: folder, OUTBOUND_ALLOW: '192.0.2.0/24' },
  })
  onTestFinished(async () => {
    await service.stop()
    await rm(folder, { recursive: true })
  })
  const call = callerOf(service.url, service.apiKey)
  const healthOf = async (model: string) => (await call(`GET /v1/models/${model}/health`)).body
  const create = async (model: string, more: object = {}) =>
    (await call('POST /v1/predictions', { body: { model, input: {}, ...more } })).body
  const waitingFor = async (id: string) => (await call(`GET /v1/predictions/${id}`)).body.metadata.waiting_for

  const lack = 'It needs HEALTH_A and HEALTH_B, which are not set.'
  expect((await call('GET /v1/models/bare')).body).toMatchObject({ status: 'offline', reason: lack })
  expect(await healthOf('bare')).toMatchObject({ reason: `No worker serves this model. ${lack}` })
  expect((await create('bare')).metadata.waiting_for).toBe(`No worker serves this model. ${lack}`)

  expect((await call('GET /v1/models/far')).body).toMatchObject({ status: 'operational', reason: null })
  const { id, metadata } = await create('far')
  expect(metadata.waiting_for).toBe('No worker serves this model.')
  const before = await call(`GET /v1/predictions/${id}`)
  await announceWorker(service.db, 'a-worker', ['far'])
  await service.db.pool.query(`update workers set seen_at = clock_timestamp() + interval '1 hour'`)
  await until(async () => (await waitingFor(id)) === undefined, { what: 'the worker to be known' })
  const headers = { 'if-none-match': before.headers.get('etag') ?? '' }
  expect((await call(`GET /v1/predictions/${id}`, { headers })).status).toBe(200)

  const failure = { name: 'http://192.0.2.1', reason: 'It is down.', secondsAgo: 0 }
  for (let n = 0; n < failuresToOpen; n++) await noteFailure(service.db, failure)
  await service.db.pool.query(`update hosts set open_until = clock_timestamp() + interval '1 hour'`)
  const away = /^The host of this model failed again and again/
  await becomes(
    () => healthOf('far'),
    ({ reason, status }) => away.test(reason) && status === 'operational',
  )
  await until(async () => away.test(await waitingFor(id)), { what: 'it to say so' })
  // Who waits for its time is not in line yet, whatever will be in its way then.
  const run_at = new Date(Date.now() + 3_600_000).toISOString()
  const later = await create('far', { run_at })
  expect([later.metadata.waiting_for, await waitingFor(later.id)]).toEqual(
    Array(2).fill(`Its run_at, ${run_at}.`),
  )
})

test('a model that there is not has no health', async () => {
  const service = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  const reply = await callerOf(service.url, service.apiKey)('GET /v1/models/nothing/health')
  expect(refusalOf(reply)).toMatchObject({ status: 404, id: 'MODEL_NOT_FOUND' })
  await service.stop()
})

test('of each model the newest run times are kept, whichever worker measured them', async () => {
  const { db, drop } = await freshDatabase()
  const [one, two] = [newId(), newId()]
  await saveRunTimes(
    db,
    new Map([
      [one, [1, 2]],
      [two, [9]],
    ]),
  )
  await saveRunTimes(db, new Map([[one, [3]]]))
  expect(await readRunTimes(db, one)).toEqual([1, 2, 3])
  expect(await readRunTimes(db, two)).toEqual([9])

  await Promise.all(Array.from({ length: 10 }, () => saveRunTimes(db, new Map([[one, Array(50).fill(7)]]))))
  expect(await readRunTimes(db, one)).toEqual(Array(keptTimes).fill(7))
  expect(await readRunTimes(db, newId())).toEqual([])
  await drop()
})

test('the median and the 95th percentile are times that were measured', () => {
  expect(summaryOf([])).toEqual({ median: null, p95: null, samples: 0 })
  expect(summaryOf([5])).toEqual({ median: 5, p95: 5, samples: 1 })
  const hundred = Array.from({ length: 100 }, (_, n) => 100 - n)
  expect(summaryOf(hundred)).toEqual({ median: 50, p95: 95, samples: 100 })
})

test('a worker writes down a few of its run times, however many there were', () => {
  const times = createRunTimes()
  for (let n = 0; n < 10_000; n++) times.add('busy', n)
  times.add('quiet', 1)
  const taken = times.take()
  expect(taken.get('busy')).toHaveLength(50)
  expect(taken.get('quiet')).toEqual([1])
  expect(times.take().size).toBe(0)
})

test('a worker that is silent serves nothing, and one that goes says so', async () => {
  const { db, drop } = await freshDatabase()
  await announceWorker(db, 'a', ['echo', 'ocr'])
  await announceWorker(db, 'b', ['echo'])
  await announceWorker(db, 'a', ['echo'])
  expect((await findWorkers(db, 'echo')).toSorted()).toEqual(['a', 'b'])
  expect(await findWorkers(db, 'ocr')).toEqual([])

  await db.pool.query(`update workers set seen_at = seen_at - interval '16 seconds' where name = 'a'`)
  await dismissWorker(db, 'b')
  expect(await findWorkers(db, 'echo')).toEqual([])

  await db.pool.query(`update workers set seen_at = seen_at - interval '1 hour'`)
  await announceWorker(db, 'c', [])
  expect((await db.pool.query('select name from workers')).rows).toEqual([{ name: 'c' }])
  await drop()
})

// biome-ignore lint/suspicious/noExplicitAny: a reply's body
async function becomes(read: () => Promise<any>, isThere: (shown: any) => boolean) {
  return until(
    async () => {
      const shown = await read()
      return isThere(shown) && shown
    },
    { within: 30_000, what: 'the health to tell it' },
  )
}

const sleeper = `export default {
  namespace: 'Vendor/sleeper', type: 'text', input_schema: { type: 'object' },
  run: ({ ms }, { signal }) => new Promise((resolve) => {
    const timer = setTimeout(() => resolve('slept'), ms)
    signal.addEventListener('abort', () => { clearTimeout(timer); resolve('woken') })
  }),
}`
