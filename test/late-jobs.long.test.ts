import { claim } from '@millrace/lifecycle/claim'
import { keepJobs } from '@millrace/lifecycle/keep-jobs'
import { endOverdue } from '@millrace/lifecycle/overdue'
import { handBack } from '@millrace/lifecycle/release'
import { hostOf } from '@millrace/providers/remote/host-of'
import { expect, onTestFinished, test } from 'vitest'
import { uuidOf } from './api-caller.ts'
import { givenRemoteModels, type RemoteService } from './given-hosts.ts'
import { lifecycleOn } from './given-predictions.ts'
import { until } from './harness/wait.ts'
import { type JobsHost, startJobsHost } from './hosts/jobs.ts'
import { untilEnded } from './until-ended.ts'

test.each([
  ['START_TIMEOUT', 'start_by'],
  ['EXPIRED', 'expires_at'],
] as const)(
  'a job that was kept is cancelled at its host when its prediction ends with %s',
  async (error_id, column) => {
    const { host, service, id } = await givenKeptJob()
    // Its next try was put off for longer than that.
    await service.db.pool.query(
      `update runs set ${column} = clock_timestamp() - interval '1 second', run_at = clock_timestamp() + interval '1 hour'`,
    )
    await service.start('worker')

    const ended = await untilEnded(service.call, id)

    expect(ended).toMatchObject({ status: 'failed', error_id, started_at: null })
    expect(host.jobs).toEqual([expect.objectContaining({ state: 'cancelled' })])
  },
  90_000,
)

test('so it is when its prediction is deleted', async () => {
  const { host, service, id } = await givenKeptJob()
  expect((await service.call(`DELETE /v1/predictions/${id}`)).status).toBe(200)

  await service.start('worker')

  await until(() => host.jobs[0]?.state === 'cancelled', { within: 30_000, what: 'the job to be cancelled' })
  const left = () => service.db.kysely.selectFrom('runs').select('prediction_id').execute()
  await until(async () => (await left()).length === 0, { what: 'the run to end' })
}, 90_000)

test('without a worker it ends after the grace, and says that the job may have been done', async () => {
  const { host, service, id } = await givenKeptJob({ dispatchers: 0 })
  const lifecycle = lifecycleOn(service.db)
  await service.db.pool.query(`update runs set start_by = clock_timestamp() - interval '9 seconds'`)
  expect(await endOverdue(lifecycle, 10)).toEqual([])
  await service.db.pool.query(`update runs set start_by = clock_timestamp() - interval '11 seconds'`)
  expect(await endOverdue(lifecycle, 10)).toEqual([uuidOf(id)])

  const { body } = await service.call(`GET /v1/predictions/${id}`)
  expect(body).toMatchObject({ error_id: 'START_TIMEOUT' })
  expect(body.error).toMatch(/No worker that serves "far" was there;.*Its host was not told to stop/)
  expect(host.jobs).toEqual([expect.objectContaining({ state: 'working' })])
}, 90_000)

test('a warm worker begins nothing that is late', async () => {
  const { service } = await givenKeptJob({ dispatchers: 0 })
  await service.db.pool.query(`update runs set start_by = clock_timestamp() - interval '1 second'`)

  const [held] = await claim(lifecycleOn(service.db), { ...taking, warm: true })

  expect(held).toMatchObject({ begun: false, job: { job: { id: 'job-1' } } })
  expect(held?.startBy).toBeLessThan(performance.now())
}, 90_000)

/** A prediction that has not begun, whose host works for it, and that no worker holds. */
async function givenKeptJob(counts: { dispatchers?: number } = {}): Promise<{
  host: JobsHost
  service: RemoteService
  id: string
}> {
  const host = await startJobsHost()
  onTestFinished(() => host.close())
  const provider = { kind: 'cog', url: host.url } as const
  const service = await givenRemoteModels(
    { far: { provider } },
    { workers: 0, env: { CANCEL_GRACE_SECONDS: '30' }, ...counts },
  )
  const id = await service.create('far', { expires_in: 600 })
  const { db } = service
  const [held] = await claim(lifecycleOn(db), taking)
  if (!held) throw new Error('there was nothing to claim')
  const made = await fetch(`${host.url}/jobs`, { method: 'POST', body: '{"input":{}}' })
  const job = (await made.json()) as { id: string }
  const at = hostOf({ provider } as Parameters<typeof hostOf>[0], {})
  await keepJobs(db, taking.worker, [
    { ...held, job: { model: 'far', host: at, attempt: held.attempt, job } },
  ])
  await handBack(db, taking.worker, [held])
  return { host, service, id }
}

const taking = { model: 'far', limit: 1, worker: 'gone', leaseSeconds: 60 }
