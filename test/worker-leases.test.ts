import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { requestCancel } from '@millrace/lifecycle/cancel'
import { claim } from '@millrace/lifecycle/claim'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { lifecycleOn } from './given-predictions.ts'
import { startTestWorker, type TestWorker } from './given-worker.ts'
import { until } from './harness/wait.ts'

let service: TestWorker
beforeEach(async () => {
  service = await startTestWorker()
})
afterEach(() => service.stop())

test('a worker that lost its lease stops the model, and what it still had moves nothing', async () => {
  const { db, worker } = service
  const made = await service.create('echo', { delay_ms: 60_000 })
  await made.reaches('processing')

  // While the worker is paused its lease runs out and somebody else takes the run.
  worker.signal('SIGSTOP')
  await db.pool.query('update runs set worker = null, lease_until = null')
  const taken = await claim(lifecycleOn(db), { model: 'echo', limit: 1, worker: 'another', leaseSeconds: 60 })
  worker.signal('SIGCONT')

  await until(() => worker.log().includes('"result":"superseded"'), { what: 'the run to be given up' })
  expect(taken.map(({ attempt }) => attempt)).toEqual([2])
  const { rows } = await db.pool.query('select worker, attempt from runs')
  expect(rows).toEqual([{ worker: 'another', attempt: 2 }])
  expect(await made.find()).toMatchObject({ status: 'processing', attempt: 2, output: null })
})

test('a worker that drains finishes what ends in time, hands the rest back and exits with 0', async () => {
  const { db, worker } = service
  const short = await service.create('echo', { delay_ms: 700, text: 'done' })
  const long = await service.create('echo', { delay_ms: 60_000 })
  await Promise.all([short.reaches('processing'), long.reaches('processing')])

  expect(await worker.stop()).toBe(0)

  expect((await short.find()).output).toEqual({ text: 'done' })
  expect((await long.find()).status).toBe('processing')
  const { rows } = await db.pool.query('select worker, lease_until, crashes from runs')
  expect(rows).toEqual([{ worker: null, lease_until: null, crashes: 0 }])
})

test('a worker that drains is not ready and claims nothing', async () => {
  const { worker } = service
  const long = await service.create('echo', { delay_ms: 60_000 })
  await long.reaches('processing')

  const stopped = worker.stop()
  await until(async () => (await fetch(`${worker.healthUrl}/readyz`)).status === 503, {
    what: '503 while draining',
  })
  const late = await service.create('chaos', {})
  await stopped

  expect((await late.find()).status).toBe('pending')
})

test('a broadcast cancels a run long before the next renewal would', async () => {
  const slow = await startTestWorker('redis', { LEASE_SECONDS: '600' })
  const made = await slow.create('echo', { delay_ms: 60_000 })
  await made.reaches('processing')
  expect(await requestCancel(lifecycleOn(slow.db), made.id)).toBe('asked')
  slow.queue.signal('cancel', [made.id])
  await made.reaches('cancelled')
  await slow.stop()
})

test('a run goes on while its leases cannot be renewed, and its result is kept', async () => {
  const { db, worker } = service
  const made = await service.create('echo', { delay_ms: 1500, text: 'held' })
  await made.reaches('processing')

  const blocker = await db.pool.connect()
  await blocker.query('begin')
  await blocker.query('lock table runs in access exclusive mode')
  // Each takes a second to fail: with the third one the run is over, too.
  const failures = () => worker.log().split('leases could not be renewed').length - 1
  await until(() => failures() >= 3, { what: 'three renewals to fail' })
  expect(worker.log()).not.toContain('"msg":"run"')
  await blocker.query('commit')
  blocker.release()

  expect((await made.reaches('succeeded')).output).toEqual({ text: 'held' })
})

test('a worker says that it waits for the database, and goes on when that answers', async () => {
  const { db, worker } = service
  const made = await service.create('echo', { delay_ms: 600, text: 'held' })
  await made.reaches('processing')

  const blocker = await db.pool.connect()
  await blocker.query('begin')
  await blocker.query('lock table runs in access exclusive mode')
  await until(() => worker.log().includes('repeated until the database answers'), { what: 'the warning' })
  await blocker.query('commit')
  blocker.release()

  expect((await made.reaches('succeeded')).output).toEqual({ text: 'held' })
})

test('a killed worker leaves its files until the next one starts, and one that drains leaves none', async () => {
  const { worker, workDir } = service
  const made = await service.create('read-file', { file: 'data:text/plain,of a customer', ms: 60_000 })
  await made.reaches('processing')
  const [left = ''] = await readdir(workDir)
  expect(left).toContain(`-${worker.pid}-`)
  const ofOthers = ['millrace-work-another-host-1-abcdef', 'somebody-elses']
  for (const name of ofOthers) await mkdir(join(workDir, name))

  await worker.kill()
  expect(await readdir(join(workDir, left))).toEqual([`${made.id}-1`])
  const another = await service.startAnother()
  expect(await readdir(workDir)).not.toContain(left)
  expect(await readdir(workDir)).toHaveLength(3)

  await another.stop()
  expect((await readdir(workDir)).toSorted()).toEqual(ofOthers)
})
