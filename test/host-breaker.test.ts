import { setTimeout as delay } from 'node:timers/promises'
import { createKey, createKeyRing } from '@millrace/accounts/api-keys'
import type { Database } from '@millrace/database/connect'
import {
  dropProbe,
  type HostState,
  noteFailure,
  noteService,
  readHosts,
  takeProbe,
} from '@millrace/hosts/hosts'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { callerOf } from './api-caller.ts'
import { type RemoteService, startRemoteService } from './given-hosts.ts'
import { answering, away, givenHttpHost } from './given-http-hosts.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import type { Receiver } from './harness/receiver.ts'
import { until } from './harness/wait.ts'
import { untilEnded } from './until-ended.ts'

describe('what all workers know of a host', () => {
  let database: FreshDatabase
  let db: Database
  beforeAll(async () => {
    database = await freshDatabase()
    db = database.db
  })
  afterAll(() => database.drop())

  test('is nothing until it fails, and after three failures in a row it is left alone', async () => {
    const name = 'http://fails.test'
    const waits: (number | null | undefined)[] = []
    for (let n = 0; n < 3; n++) waits.push((await fails(name))?.closedFor)

    expect(waits.slice(0, 2)).toEqual([null, null])
    expect(waits[2]).toBeGreaterThan(1)
    expect(await stateOf(name)).toMatchObject({ failures: 3, probed: false, reason: 'It is away' })
  })

  test('is not changed by what began before it was left alone', async () => {
    const name = 'http://slow.test'
    for (let n = 0; n < 3; n++) await fails(name)
    expect(await fails(name)).toBeUndefined()

    await passTime(name)
    expect(await fails(name, 3600)).toBeUndefined()
    expect(await stateOf(name)).toMatchObject({ failures: 3 })
  })

  test('is found out by one at a time, and each failure leaves it alone for longer, at most a minute', async () => {
    const name = 'http://probed.test'
    for (let n = 0; n < 3; n++) await fails(name)
    expect(await takeProbe(db, name)).toBe(false)

    const waits: number[] = []
    for (let n = 0; n < 8; n++) {
      await passTime(name)
      const probes = await Promise.all(Array.from({ length: 5 }, () => takeProbe(db, name)))
      expect(probes.filter(Boolean)).toHaveLength(1)
      waits.push(Math.round((await fails(name))?.closedFor ?? 0))
    }

    expect(waits).toEqual([4, 8, 16, 32, 60, 60, 60, 60])
  })

  test('is asked anew when a probe told nothing, and forgotten when it serves', async () => {
    const name = 'http://back.test'
    for (let n = 0; n < 3; n++) await fails(name)
    await passTime(name)
    expect(await takeProbe(db, name)).toBe(true)
    await dropProbe(db, name)
    expect(await takeProbe(db, name)).toBe(true)

    await noteService(db, name)

    expect(await stateOf(name)).toBeUndefined()
    expect(await takeProbe(db, name)).toBe(false)
  })

  async function fails(name: string, secondsAgo = 0): Promise<HostState | undefined> {
    return noteFailure(db, { name, reason: 'It is away', secondsAgo })
  }

  async function stateOf(name: string): Promise<HostState | undefined> {
    return (await readHosts(db)).find((host) => host.name === name)
  }

  /** As if the time for which it is left alone were just over. */
  async function passTime(name: string): Promise<void> {
    await db.pool.query('update hosts set open_until = clock_timestamp() where name = $1', [name])
  }
})

let service: RemoteService
beforeAll(async () => {
  service = await startRemoteService()
})
afterAll(() => service.stop())

test('a host that fails three runs in a row is asked by one at a time, and all are served once it is back', async () => {
  const host = await givenHttpHost(away)
  await service.serve({ back: { retries: 20, concurrency: 8, ...modelAt(host.url) } })
  await service.startWorker('another')
  const ids = await Promise.all(Array.from({ length: 6 }, () => service.create('back')))
  // By the second time all workers know.
  await leftAlone(host, 4)
  const hurry = setInterval(
    () => void Promise.all([openIn(host, '0 seconds'), nextTries('back')]).catch(() => {}),
    500,
  )
  onTestFinished(() => clearInterval(hurry))
  let inside = 0
  let most = 0
  host.answerWith(() => {
    most = Math.max(most, ++inside)
    const after = delay(50).then(() => {
      inside--
    })
    return { ...away, after }
  })
  const asked = host.requests.length
  await until(() => host.requests.length >= asked + 2, { within: 20_000, what: 'two looks' })
  expect(most).toBe(1)
  host.answerWith(answering(200, 'back'))

  const ended = await Promise.all(ids.map((id) => untilEnded(service.call, id)))
  expect(ended.map(({ status }) => status)).toEqual(ids.map(() => 'succeeded'))
  expect(await failuresOf(host)).toBeUndefined()
})

test('while a host is left alone its runs go to a fallback at once, unasked', async () => {
  const [host, spare] = [await givenHttpHost(away), await givenHttpHost(answering(200, 'served'))]
  await service.serve({
    passing: { retries: 20, fallbacks: ['spare'], ...modelAt(host.url) },
    spare: modelAt(spare.url),
  })
  await service.create('passing', { auto_fallback: false })
  await leftAlone(host)
  await openIn(host, '1 hour')
  const asked = host.requests.length

  const id = await service.create('passing')

  expect(await untilEnded(service.call, id)).toMatchObject({
    status: 'succeeded',
    metadata: { served_by: 'spare', attempts: 2 },
  })
  expect(host.requests).toHaveLength(asked)
})

test('a host that fails stops nothing of another one', async () => {
  const [host, other] = [await givenHttpHost(away), await givenHttpHost(answering(200, 'well'))]
  await service.serve({
    far: { retries: 20, ...modelAt(host.url) },
    near: modelAt(other.url),
  })
  const hostsOf = async (model: string, as = service.call) =>
    (await as(`GET /v1/models/${model}/health`)).body.hosts
  expect(await hostsOf('far')).toEqual([{ host: 'http', breaker: 'closed', failures: 0 }])
  await service.create('far')
  await leftAlone(host)

  expect(await untilEnded(service.call, await service.create('near'))).toMatchObject({ status: 'succeeded' })
  expect(await hostsOf('far')).toMatchObject([{ host: 'http', failures: expect.any(Number) }])
  const secret = new URL(host.url).host
  expect(JSON.stringify(await hostsOf('far')), 'the inner network is for admins').not.toContain(secret)
  const { key } = await createKey(service.db, createKeyRing(service.masterKey), {
    accountId: service.accountId,
    name: 'admin',
    admin: true,
  })
  const [seen] = await hostsOf('far', callerOf(service.url, key))
  expect(seen).toMatchObject({
    host: expect.stringContaining(secret),
    reason: expect.stringContaining('503'),
  })
})

test('a run that waits for a host that is left alone ends by its time to start', async () => {
  const host = await givenHttpHost(away)
  await service.serve({ waited: { retries: 20, ...modelAt(host.url) } })
  await service.create('waited')
  await leftAlone(host)
  await openIn(host, '1 hour')

  const id = await service.create('waited', { timeouts: { start: 2 } })

  expect(await untilEnded(service.call, id)).toMatchObject({ status: 'failed', error_id: 'START_TIMEOUT' })
})

/** Until the host has failed often enough. */
function leftAlone(host: Receiver, failures = 3): Promise<unknown> {
  return until(async () => ((await failuresOf(host)) ?? 0) >= failures, {
    within: 20_000,
    what: 'the host to be left alone',
  })
}

async function failuresOf({ url }: Receiver): Promise<number | undefined> {
  const hosts = await readHosts(service.db)
  return hosts.find(({ name }) => name.includes(new URL(url).host))?.failures
}

/** Sets the time until which the host is left alone, which doubles each time; not in the middle of a look at it. */
async function openIn({ url }: Receiver, interval: string): Promise<void> {
  await service.db.pool.query(
    `update hosts set open_until = clock_timestamp() + $2::interval where strpos(name, $1) > 0 and coalesce(probed_until < clock_timestamp(), true)`,
    [new URL(url).host, interval],
  )
}

/** The runs of a model need not wait any longer for their next tries. */
async function nextTries(model: string): Promise<void> {
  await service.db.pool.query(
    'update runs set run_at = clock_timestamp() where model = $1 and worker is null and run_at > clock_timestamp()',
    [model],
  )
}

const modelAt = (url: string) => ({ provider: { kind: 'http', url } })
