import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { uuidOf } from './api-caller.ts'
import { givenRemoteModels, type RemoteService, startRemoteService } from './given-hosts.ts'
import { until } from './harness/wait.ts'
import { type JobsHost, startJobsHost } from './hosts/jobs.ts'
import { untilEnded } from './until-ended.ts'

let service: RemoteService
beforeAll(async () => {
  service = await startRemoteService({ workers: 0, env: { CANCEL_GRACE_SECONDS: '60' } })
})
afterAll(() => service.stop())

test.each(['redis', 'postgres'] as const)(
  'a worker that is killed while its host works costs no second job: the next one takes it up (%s)',
  async (queue) => {
    const host = await givenHost()
    const own = queue === 'redis' ? service : await givenRemoteModels({}, { queue, workers: 0 })
    await own.serve({ killed: modelAt(host) })
    const first = await own.startWorker('first')
    const id = await own.create('killed', { input: { text: 'one' } })
    await host.taken(1)
    await jobKept(own, id)

    await first.kill()
    await own.startWorker('second')
    await until(async () => (await holderOf(own, id)) === 'second', {
      within: 20_000,
      what: 'the second',
    })
    host.finish('done once')

    const ended = await untilEnded(own.call, id)
    expect(ended).toMatchObject({ status: 'succeeded', output: 'done once', metadata: { attempts: 2 } })
    expect(host.jobs).toHaveLength(1)
  },
)

test('a worker that drains hands over at once what its host can be left at, and the next one takes it up', async () => {
  const host = await givenHost()
  await service.serve({ drained: modelAt(host) })
  const first = await service.startWorker('first', { DRAIN_SECONDS: '60' })
  const id = await service.create('drained')
  await jobKept(service, id)

  await first.stop()
  expect(await holderOf(service, id)).toBeNull()
  await service.startWorker('second')
  await until(async () => (await holderOf(service, id)) === 'second', { what: 'the second to take it' })
  host.finish('still here')

  expect(await untilEnded(service.call, id)).toMatchObject({ status: 'succeeded', output: 'still here' })
  expect(host.jobs).toEqual([expect.objectContaining({ state: 'done' })])
})

test('a run that is cancelled after its worker was killed is cancelled at its host, by the next worker', async () => {
  const host = await givenHost()
  await service.serve({ cancelled: modelAt(host) })
  const first = await service.startWorker('first')
  const id = await service.create('cancelled')
  await jobKept(service, id)
  await first.kill()
  await until(async () => (await holderOf(service, id)) === null, { what: 'the lease to end' })

  const asked = await service.call(`POST /v1/predictions/${id}/cancel`)
  expect(asked.body.status).not.toBe('cancelled')
  await service.startWorker('second')

  expect(await untilEnded(service.call, id)).toMatchObject({ status: 'cancelled' })
  expect(host.jobs).toEqual([expect.objectContaining({ state: 'cancelled' })])
})

test('a cancelled run whose job no worker takes up ends after the grace', async () => {
  const host = await givenHost()
  await service.serve({ 'cancelled-late': modelAt(host) })
  const first = await service.startWorker('first')
  const id = await service.create('cancelled-late')
  await jobKept(service, id)
  await first.kill()

  await service.call(`POST /v1/predictions/${id}/cancel`)
  const statement = `update runs set cancel_requested_at = cancel_requested_at - interval '1 minute' where prediction_id = $1`
  await service.db.pool.query(statement, [uuidOf(id)]) // as if the grace were over

  expect(await untilEnded(service.call, id)).toMatchObject({ status: 'cancelled' })
})

test('a job is asked for again when its host was away for a moment, and not begun again', async () => {
  const host = await givenHost()
  await service.serve({ away: modelAt(host) })
  await service.startWorker('only')
  const id = await service.create('away')
  await jobKept(service, id)

  host.setDown(true)
  const tried = async () => (await runOf(service, id)).tries > 0
  await until(tried, { what: 'the host to be found away' })
  host.setDown(false)
  host.finish('found again')

  expect(await untilEnded(service.call, id)).toMatchObject({ status: 'succeeded', output: 'found again' })
  expect(host.jobs).toHaveLength(1)
})

async function givenHost(): Promise<JobsHost> {
  const host = await startJobsHost()
  onTestFinished(() => host.close())
  return host
}

const modelAt = ({ url }: JobsHost) => ({ provider: { kind: 'cog', url } })

function jobKept(service: RemoteService, id: string): Promise<unknown> {
  return until(async () => (await runOf(service, id)).job, { within: 20_000, what: 'the job to be kept' })
}

async function holderOf(service: RemoteService, id: string): Promise<string | null> {
  return (await runOf(service, id)).worker
}

async function runOf({ db }: RemoteService, id: string) {
  return db.kysely
    .selectFrom('runs')
    .select(['worker', 'job', 'tries'])
    .where('prediction_id', '=', uuidOf(id))
    .executeTakeFirstOrThrow()
}
