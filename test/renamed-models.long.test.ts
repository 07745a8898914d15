import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { accept } from '@millrace/lifecycle/accept'
import { adoptRuns } from '@millrace/lifecycle/adopt'
import { claim } from '@millrace/lifecycle/claim'
import { announceWorker, findWorkers } from '@millrace/lifecycle/workers'
import { expect, onTestFinished, test } from 'vitest'
import { uuidOf } from './api-caller.ts'
import { givenRemoteModels, type RemoteService } from './given-hosts.ts'
import { answering, givenHttpHost } from './given-http-hosts.ts'
import { draft, lifecycleOn } from './given-predictions.ts'
import { freshDatabase } from './harness/database.ts'
import type { Service } from './harness/service.ts'
import { until } from './harness/wait.ts'
import { startJobsHost } from './hosts/jobs.ts'
import { untilEnded } from './until-ended.ts'

test('what waits when its model is renamed runs under the new name, and is shown and listed as before', async () => {
  const host = await givenHttpHost(answering(200, 'served'))
  const service = await givenRemoteModels(
    { before: { provider: { kind: 'http', url: host.url } } },
    { workers: 0 },
  )
  const ids = [await service.create('before'), await service.create('before')]
  await renameModel(service, 'before', 'after')
  await service.start('worker', { WORKER_NAME: 'only', MODELS: 'before' })

  for (const id of ids) {
    expect(await untilEnded(service.call, id)).toMatchObject({
      status: 'succeeded',
      output: 'served',
      model: { name: 'before' },
    })
  }
  expect(await findWorkers(service.db, 'before'), 'it is announced under both').toEqual(['only'])
  await until(async () => (await service.call('GET /v1/models/after')).status === 200, { what: 'the api' })
  const late = await service.create('before')
  await untilEnded(service.call, late)
  const { body } = await service.call('GET /v1/predictions?model=after')
  expect(body.data.map(({ id }: { id: string }) => id)).toEqual([late, ...ids.reverse()])
}, 90_000)

test('a worker under which the model is renamed takes what others go on to accept under the old name', async () => {
  const host = await givenHttpHost(answering(200, 'served'))
  const service = await givenRemoteModels({ before: { provider: { kind: 'http', url: host.url } } })
  const id = await service.create('before', { run_at: new Date(Date.now() + 3_000).toISOString() })

  await renameModel(service, 'before', 'after')

  expect(await untilEnded(service.call, id)).toMatchObject({ status: 'succeeded' })
}, 90_000)

test('a job that was begun under the old name is taken up, not begun again', async () => {
  const host = await startJobsHost()
  onTestFinished(() => host.close())
  const service = await givenRemoteModels(
    { before: { provider: { kind: 'cog', url: host.url } } },
    { workers: 0 },
  )
  const first = await service.start('worker', { WORKER_NAME: 'first' })
  const id = await service.create('before')
  await until(() => jobOf(service, id), { within: 20_000, what: 'the job to be kept' })
  await first.kill()
  await renameModel(service, 'before', 'after')
  await service.start('worker', { WORKER_NAME: 'second' })
  await until(() => (host.jobs[0]?.polls ?? 0) > 1, { within: 20_000, what: 'the job to be asked for' })
  host.finish('done once')

  expect(await untilEnded(service.call, id)).toMatchObject({ status: 'succeeded', output: 'done once' })
  expect(host.jobs).toHaveLength(1)
}, 90_000)

test('in the store: each run keeps its turn, and a name that another worker serves is left to it', async () => {
  const database = await freshDatabase()
  onTestFinished(() => database.drop())
  const { db } = database
  const lifecycle = lifecycleOn(db)
  const [old, held, parked, present] = [
    draft({ model: 'a' }),
    draft({ model: 'b' }),
    draft({ model: 'a', runAt: new Date(Date.now() + 3_600_000) }),
    draft({ model: 'c' }),
  ]
  for (const one of [old, held, parked, present]) await accept(lifecycle, [one])
  await claim(lifecycle, { model: 'b', limit: 1, worker: 'w', leaseSeconds: 60 })
  const renames = ['a', 'b'].map((former) => ({ former, model: 'c', pool: 'other' }))

  await announceWorker(db, 'behind', ['a'])
  expect(await adoptRuns(db, 'w', renames)).toEqual(new Map())
  // Whoever knows the name as an alias only serves nothing else under it.
  await announceWorker(db, 'behind', ['c'], ['a'])
  expect(await adoptRuns(db, 'w', renames)).toEqual(new Map([['c', 1]]))

  const claims = await claim(lifecycle, { model: 'c', limit: 9, worker: 'w', leaseSeconds: 60, draw: 0 })
  expect(claims.map(({ id }) => id)).toEqual([old.id, present.id])
  const { rows } = await db.pool.query('select model, pool from runs order by prediction_id')
  expect(rows).toEqual([
    { model: 'c', pool: 'other' },
    { model: 'b', pool: 'default' },
    { model: 'a', pool: 'default' },
    { model: 'c', pool: 'default' },
  ])
})

/** Changes the file of a model as its author does: the old name becomes an alias. */
async function renameModel({ environment }: RemoteService, from: string, to: string): Promise<void> {
  const file = (name: string) => join(environment.MODELS_DIR ?? '', name)
  const model = JSON.parse(await readFile(file(`${from}.json`), 'utf8'))
  await writeFile(file('.new'), JSON.stringify({ ...model, namespace: to, aliases: [from] }))
  await rename(file('.new'), file(`${to}.json`))
  await rm(file(`${from}.json`))
}

async function jobOf({ db }: Service, id: string) {
  const { job } = await db.kysely
    .selectFrom('runs')
    .select('job')
    .where('prediction_id', '=', uuidOf(id))
    .executeTakeFirstOrThrow()
  return job
}
