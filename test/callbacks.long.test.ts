import { newId } from '@millrace/database/ids'
import { callbackToken, readCallbackToken } from '@millrace/keys/callback-token'
import { deriveKey } from '@millrace/keys/derive'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { uuidOf } from './api-caller.ts'
import { givenRemoteModels, type RemoteService, startRemoteService } from './given-hosts.ts'
import { until } from './harness/wait.ts'
import { type JobsHost, startJobsHost } from './hosts/jobs.ts'
import { untilEnded } from './until-ended.ts'

let service: RemoteService
beforeAll(async () => {
  service = await startRemoteService({ workers: 0 })
  await service.start('worker', called)
})
afterAll(() => service.stop())

const called = { CALLBACKS: 'true' }

test.each(['redis', 'postgres'] as const)(
  'what a host reports reaches the worker that holds the run (%s)',
  async (queue) => {
    const host = await givenHost()
    const own = queue === 'redis' ? service : await givenRemoteModels({}, { queue, env: called })
    await own.serve({ reports: modelAt(host) })
    const id = await own.create('reports')
    const [job] = await host.taken(1)
    await polled(host)

    host.finish('reported')
    const { status, body } = await report(job?.callback, { state: 'done' })

    expect({ status, body }).toEqual({ status: 200, body: { received: true } })
    expect(await untilEnded(own.call, id)).toMatchObject({ status: 'succeeded', output: 'reported' })
    // It was told, and did not look again by itself.
    expect(job?.polls).toBeLessThanOrEqual(3)
    expect(await callbacksKept(own, id)).toBe(0)
  },
)

test('a report that was stored while its signal was lost is found by a look', async () => {
  const host = await givenHost()
  await service.serve({ stored: modelAt(host) })
  const id = await service.create('stored')
  await polled(host)
  host.finish('found')

  await service.db.pool.query(
    `insert into callbacks (prediction_id, attempt, body) values ($1, 1, '{"state":"done"}')`,
    [uuidOf(id)],
  )

  expect(await untilEnded(service.call, id)).toMatchObject({ status: 'succeeded', output: 'found' })
})

test('the address that a host was given works on for the worker that takes its job up', async () => {
  const host = await givenHost()
  await service.serve({ passed: { pool: 'passed', ...modelAt(host) } })
  const first = await service.startWorker('first', { ...called, POOLS: 'passed' })
  const id = await service.create('passed')
  const [job] = await polled(host)
  await first.stop()

  // Nobody holds it just now.
  host.finish('in between')
  expect((await report(job?.callback, { state: 'done' })).status).toBe(200)
  await service.startWorker('second', { ...called, POOLS: 'passed' })

  expect(await untilEnded(service.call, id)).toMatchObject({ status: 'succeeded', output: 'in between' })
  expect(host.jobs).toHaveLength(1)
})

test('an address that was never given out, or whose run is over, is not found, whatever is posted', async () => {
  const host = await givenHost()
  await service.serve({ unknown: modelAt(host) })
  const id = await service.create('unknown')
  const [job] = await polled(host)
  const url = job?.callback ?? ''
  const token = url.split('/').at(-1) ?? ''
  const elsewhere = url.slice(0, -token.length)
  const key = deriveKey(service.masterKey, 'callbacks')
  const notFound = { status: 404, body: { status: false, error: { error_id: 'PREDICTION_NOT_FOUND' } } }

  for (const wrong of [
    `${token.slice(0, -2)}AA`,
    `${token}A`,
    'x',
    callbackToken(deriveKey('another master key, just as long', 'callbacks'), { id: uuidOf(id), attempt: 1 }),
    callbackToken(key, { id: uuidOf(id), attempt: 2 }),
    callbackToken(key, { id: newId(), attempt: 1 }),
  ])
    expect(await report(`${elsewhere}${wrong}`, {})).toMatchObject(notFound)

  host.finish('over')
  await report(url, {})
  await untilEnded(service.call, id)
  expect(await report(url, {})).toMatchObject(notFound)
  // It is a secret: who reads the log can report nothing.
  expect(service.processes.map((running) => running.log()).join('')).not.toContain(token)
})

test('a host that reports without end fills no table', async () => {
  const host = await givenHost()
  await service.serve({ endless: { pool: 'endless', ...modelAt(host) } })
  const worker = await service.startWorker('only', { ...called, POOLS: 'endless' })
  const id = await service.create('endless')
  const [job] = await polled(host)
  await worker.kill()

  for (let n = 0; n < 120; n++) expect((await report(job?.callback, { n })).status).toBe(200)

  expect(await callbacksKept(service, id)).toBe(100)
})

test.each([
  ['http://127.0.0.1:3000', {}, false],
  ['https://millrace.example', {}, true],
  ['http://127.0.0.1:3000', { CALLBACKS: 'true' }, true],
  ['https://millrace.example', { CALLBACKS: 'false' }, false],
])('with PUBLIC_URL %s and %o hosts are given an address: %s', async (url, env, given) => {
  const host = await givenHost()
  const name = `told-${given}-${Object.keys(env).length}`
  await service.serve({ [name]: { pool: name, ...modelAt(host) } })
  await service.startWorker(name, { POOLS: name, PUBLIC_URL: url, ...env })
  await service.create(name)

  const [job] = await host.taken(1)

  expect(job?.callback).toEqual(given ? expect.stringMatching(`^${url}/v1/callbacks/[\\w-]{48}$`) : undefined)
})

test('a token names its attempt, and only who has the key can make one', () => {
  const key = Buffer.alloc(32, 1)
  const fence = { id: newId(), attempt: 4_000_000_000 }
  const token = callbackToken(key, fence)

  expect(readCallbackToken([key], token)).toEqual(fence)
  expect(readCallbackToken([Buffer.alloc(32, 2), key], token)).toEqual(fence)
  expect(readCallbackToken([Buffer.alloc(32, 2)], token)).toBeUndefined()
  for (let at = 0; at < token.length; at++) {
    const other = token[at] === 'A' ? 'B' : 'A'
    expect(readCallbackToken([key], token.slice(0, at) + other + token.slice(at + 1))).toBeUndefined()
  }
})

async function givenHost(): Promise<JobsHost> {
  const host = await startJobsHost()
  onTestFinished(() => host.close())
  return host
}

const modelAt = ({ url }: JobsHost) => ({ provider: { kind: 'cog', url } })

/** The jobs once the worker has looked for the first one and waits to be called. */
function polled(host: JobsHost): Promise<JobsHost['jobs']> {
  return until(() => (host.jobs[0]?.polls ?? 0) > 0 && host.jobs, {
    within: 20_000,
    what: 'a look at the job',
  })
}

async function callbacksKept({ db }: RemoteService, id: string): Promise<number | null> {
  return (await db.pool.query('select from callbacks where prediction_id = $1', [uuidOf(id)])).rowCount
}

async function report(url = '', body: unknown): Promise<{ status: number; body: unknown }> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) })
  return { status: response.status, body: await response.json() }
}
