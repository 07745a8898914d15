import { afterAll, beforeAll, expect, test } from 'vitest'
import { uuidOf } from './api-caller.ts'
import { type RemoteService, startRemoteService } from './given-hosts.ts'
import { answering, away, givenHttpHost } from './given-http-hosts.ts'
import { until } from './harness/wait.ts'
import { untilEnded } from './until-ended.ts'

let service: RemoteService
beforeAll(async () => {
  service = await startRemoteService()
})
afterAll(() => service.stop())

test('a run whose host is away is tried again, and succeeds once it is back', async () => {
  const host = await givenHttpHost((_, n) => (n < 2 ? away : answering(200, 'here')))
  await service.serve({ 'away-twice': modelAt(host.url) })

  const ended = await untilEnded(service.call, await service.create('away-twice'))

  expect(ended).toMatchObject({ status: 'succeeded', output: 'here', metadata: { attempts: 3 } })
  expect(ended.metadata).not.toHaveProperty('served_by')
})

test('a run is tried again as often as its model says, and then fails with what the host said', async () => {
  const host = await givenHttpHost(away)
  await service.serve({ away: { retries: 1, ...modelAt(host.url) } })

  const ended = await untilEnded(service.call, await service.create('away'))

  expect(ended).toMatchObject({ status: 'failed', error_id: 'PROVIDER_UNAVAILABLE' })
  expect(ended.error).toContain('Nobody is here')
  expect(host.requests).toHaveLength(2)
})

test('what is the fault of the model or its input is not tried again', async () => {
  const host = await givenHttpHost(answering(400, { error: 'No such style' }))
  await service.serve({ refusing: modelAt(host.url) })

  const ended = await untilEnded(service.call, await service.create('refusing'))

  expect(ended).toMatchObject({ status: 'failed', error_id: 'MODEL_ERROR' })
  expect(host.requests).toHaveLength(1)
})

test('a host is not asked again before the time that it named', async () => {
  const host = await givenHttpHost(answering(503, {}, { 'retry-after': '1000' }))
  await service.serve({ 'named-later': modelAt(host.url) })
  const id = uuidOf(await service.create('named-later'))

  const waiting = await until(
    async () => {
      const { rows } = await service.db.pool.query(
        `select extract(epoch from run_at - clock_timestamp())::float8 as seconds, tries from runs
         where prediction_id = $1 and worker is null and attempt = 1`,
        [id],
      )
      return rows[0]
    },
    { within: 20_000, what: 'the run to wait' },
  )

  expect(waiting.tries).toBe(1)
  expect(waiting.seconds).toBeGreaterThan(900)
  expect(waiting.seconds).toBeLessThanOrEqual(1100)
})

test('each try waits twice as long as the one before, and none longer than a minute', async () => {
  const host = await givenHttpHost(answering(503, { error: 'Nobody is here' }))
  await service.serve({ 'away-for-long': { retries: 10, ...modelAt(host.url) } })
  const id = uuidOf(await service.create('away-for-long'))
  const nineTries = async () =>
    (
      await service.db.pool.query(
        `update runs set tries = 9, run_at = clock_timestamp() where prediction_id = $1 and worker is null and tries > 0`,
        [id],
      )
    ).rowCount === 1
  await until(nineTries, { within: 20_000, what: 'the first try' })

  const seconds = await until(
    async () => {
      const { rows } = await service.db.pool.query<{ seconds: number }>(
        `select extract(epoch from run_at - clock_timestamp())::float8 as seconds from runs
         where prediction_id = $1 and worker is null and tries = 10`,
        [id],
      )
      return rows[0]?.seconds
    },
    { within: 30_000, what: 'the tenth try' },
  )

  expect(seconds).toBeGreaterThan(10)
  expect(seconds).toBeLessThanOrEqual(60)
})

test('runs that were refused together do not come back together', async () => {
  const host = await givenHttpHost(answering(503, {}, { 'retry-after': '1000' }))
  await service.serve({ 'refused-together': { concurrency: 3, ...modelAt(host.url) } })
  await Promise.all([
    service.create('refused-together'),
    service.create('refused-together'),
    service.create('refused-together'),
  ])

  const times = await until(
    async () => {
      const { rows } = await service.db.pool.query(
        `select distinct date_trunc('seconds', run_at) from runs where model = 'refused-together' and tries = 1 and worker is null`,
      )
      return rows.length > 1 && rows
    },
    { within: 20_000, what: 'all to wait' },
  )

  expect(times.length).toBeGreaterThan(1)
})

test('a host that has no room is waited for at no cost', async () => {
  const busy = answering(429, { error: 'All slots are taken' }, { 'retry-after-ms': '20' })
  const host = await givenHttpHost((_, n) => (n < 6 ? busy : answering(200, 'my turn')))
  await service.serve({ busy: { retries: 0, ...modelAt(host.url) } })

  const ended = await untilEnded(service.call, await service.create('busy'))

  expect(ended).toMatchObject({ status: 'succeeded', output: 'my turn', metadata: { attempts: 7 } })
})

test('a host that has no room is waited for until the time to start is over', async () => {
  const busy = answering(429, { error: 'All slots are taken' }, { 'retry-after-ms': '100' })
  const host = await givenHttpHost(busy)
  await service.serve({ 'busy-for-ever': { retries: 0, ...modelAt(host.url) } })

  const ended = await untilEnded(
    service.call,
    await service.create('busy-for-ever', { timeouts: { start: 2 } }),
  )

  // Which of the two depends on whether its kind says that the run begins before the host has taken it.
  expect(ended.status).toBe('failed')
  expect(['START_TIMEOUT', 'PROVIDER_UNAVAILABLE']).toContain(ended.error_id)
  expect(host.requests.length).toBeGreaterThan(2)
})

const modelAt = (url: string) => ({ provider: { kind: 'http', url } })
