import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { accept } from '@millrace/lifecycle/accept'
import { begin } from '@millrace/lifecycle/begin'
import { claim } from '@millrace/lifecycle/claim'
import { keepJobs } from '@millrace/lifecycle/keep-jobs'
import { endOverdue } from '@millrace/lifecycle/overdue'
import { handBack, releaseWorker } from '@millrace/lifecycle/release'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { givenRemoteModels, type RemoteService, startRemoteService } from './given-hosts.ts'
import { answering, givenHttpHost } from './given-http-hosts.ts'
import { draft, lifecycleOn } from './given-predictions.ts'
import { freshDatabase } from './harness/database.ts'
import { until } from './harness/wait.ts'
import { startJobsHost } from './hosts/jobs.ts'
import { untilEnded } from './until-ended.ts'

let service: RemoteService
beforeAll(async () => {
  service = await startRemoteService()
})
afterAll(() => service.stop())

test('a model that must not run twice is not run again when its worker is killed', async () => {
  const host = await givenHttpHost({ hang: true })
  await service.serve({ killed: { pool: 'killed', ...once(host.url) } })
  const first = await service.startWorker('first', { POOLS: 'killed' })
  const id = await service.create('killed')
  await host.received(1, 20_000)

  await first.kill()
  host.answerWith(answering(200, 'a second mail'))
  await service.startWorker('second', { POOLS: 'killed' })

  const ended = await untilEnded(service.call, id)
  expect(ended).toMatchObject({ status: 'failed', error_id: 'WORKER_LOST' })
  expect(ended.error).toContain('never run twice')
  expect(host.requests).toHaveLength(1)
})

test('nor when its host breaks off, and what it may have done is said to be unknown', async () => {
  const host = await givenHttpHost({ cut: true })
  const spare = await givenHttpHost(answering(200, 'a second mail'))
  await service.serve({
    cut: { ...once(host.url), fallbacks: ['spare'] },
    spare: once(spare.url),
  })

  const ended = await untilEnded(service.call, await service.create('cut'))

  expect(ended).toMatchObject({ status: 'failed', error_id: 'PROVIDER_UNAVAILABLE' })
  expect(ended.error).toContain('is not known')
  expect([host.requests.length, spare.requests.length]).toEqual([1, 0])
})

test('nor when the process of a model dies after the run began', async () => {
  const folder = service.environment.MODELS_DIR ?? ''
  await writeFile(
    join(folder, 'pay.new'),
    `import { appendFileSync } from 'node:fs'
    export default {
      namespace: 'pay', type: 'data', input_schema: { type: 'object' }, rerun: 'never',
      run() {
        appendFileSync(${JSON.stringify(join(folder, 'paid'))}, 'once ')
        process.kill(process.pid, 'SIGKILL')
      },
    }`,
  )
  await rename(join(folder, 'pay.new'), join(folder, 'pay.mjs'))
  await until(async () => (await service.call('GET /v1/models/pay')).status === 200, { what: 'the model' })

  const ended = await untilEnded(service.call, await service.create('pay'))

  expect(ended).toMatchObject({ status: 'failed', error_id: 'WORKER_LOST' })
  expect(await readFile(join(folder, 'paid'), 'utf8')).toBe('once ')
})

test('it is tried again where it is certain that nothing was done', async () => {
  const busy = answering(429, {}, { 'retry-after-ms': '20' })
  const closed = answering(503, {}, { 'retry-after-ms': '20' })
  const host = await givenHttpHost((_, n) => [busy, closed][n] ?? answering(200, 'sent'))
  await service.serve({ refused: once(host.url) })

  expect(await untilEnded(service.call, await service.create('refused'))).toMatchObject({
    status: 'succeeded',
    output: 'sent',
  })
  expect(host.requests).toHaveLength(3)
})

test('its job is taken up when its worker is killed: that is no second run', async () => {
  const host = await startJobsHost()
  onTestFinished(() => host.close())
  const provider = { kind: 'cog', url: host.url }
  await service.serve({ taken: { pool: 'taken', rerun: 'never', provider } })
  const first = await service.startWorker('first', { POOLS: 'taken' })
  const id = await service.create('taken')
  await until(() => (host.jobs[0]?.polls ?? 0) > 0, { within: 20_000, what: 'the job to be looked for' })

  await first.kill()
  host.finish('sent once')
  await service.startWorker('second', { POOLS: 'taken' })

  expect(await untilEnded(service.call, id)).toMatchObject({ status: 'succeeded', output: 'sent once' })
  expect(host.jobs).toHaveLength(1)
})

test.each(['cancelled', 'not cancelled'])(
  'a job at a host that its model left: the prediction is asked for nowhere, and ends (%s)',
  async (how) => {
    const host = await startJobsHost()
    onTestFinished(() => host.close())
    const service = await givenRemoteModels(
      { mail: { rerun: 'never', provider: { kind: 'cog', url: host.url } } },
      { workers: 0, env: { CANCEL_GRACE_SECONDS: '60' } },
    )
    const id = await service.create('mail')
    const request = { model: 'mail', limit: 1, worker: 'gone', leaseSeconds: 60, once: true }
    const [held] = await claim(lifecycleOn(service.db), request)
    if (!held) throw new Error('nothing was claimed')
    const job = { model: 'mail', host: 'http://elsewhere', attempt: held.attempt, job: { id: 'j' } }
    await keepJobs(service.db, 'gone', [{ ...held, job }])
    await handBack(service.db, 'gone', [held])
    if (how === 'cancelled') await service.call(`POST /v1/predictions/${id}/cancel`)
    await service.start('worker')

    expect(await untilEnded(service.call, id)).toMatchObject(
      how === 'cancelled'
        ? { status: 'cancelled', error: null }
        : {
            status: 'failed',
            error_id: 'PROVIDER_UNAVAILABLE',
            error: expect.stringContaining('is not known'),
          },
    )
    expect(host.jobs).toEqual([])
  },
  90_000,
)

test('in the store: what was claimed once is free again only untouched, or with its job', async () => {
  const database = await freshDatabase()
  onTestFinished(() => database.drop())
  const { db } = database
  const lifecycle = lifecycleOn(db)
  const made = draft()
  await accept(lifecycle, [made])
  const take = async () => {
    const request = { model: made.model, limit: 1, worker: 'w', leaseSeconds: 60, once: true }
    return (await claim(lifecycle, request))[0]
  }

  const first = await take()
  if (!first) throw new Error('nothing was claimed')
  await handBack(db, 'w', [first], { untouched: true })
  const second = await take()
  if (!second) throw new Error('it was not free')
  await begin(lifecycle, [second])
  const job = { model: made.model, attempt: second.attempt, job: { id: 'j' } }
  expect(await keepJobs(db, 'w', [{ ...second, job }])).toEqual([true])
  expect(await keepJobs(db, 'w', [{ ...first, job }])).toEqual([false])
  expect(await keepJobs(db, 'somebody else', [{ ...second, job }])).toEqual([false])
  await releaseWorker(db, 'w')
  expect(await endOverdue(lifecycle, 10)).toEqual([])
  const third = await take()
  expect(third?.job).toEqual(job)

  await handBack(db, 'w', third ? [third] : [], { jobIsOver: true })
  expect(await take()).toBeUndefined()
  expect(await endOverdue(lifecycle, 10)).toEqual([made.id])
})

const once = (url: string) => ({ rerun: 'never', provider: { kind: 'http', url } })
