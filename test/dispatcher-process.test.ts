import { tmpdir } from 'node:os'
import { pathToFileURL } from 'node:url'
import { readConfig } from '@millrace/dispatcher/config'
import { openQueue } from '@millrace/queue/open-queue'
import { afterEach, beforeEach, expect, inject, test } from 'vitest'
import { startProxy } from './faults/tcp-proxy.ts'
import { deliveriesOf, givenAccount, givenPrediction, masterKey } from './given-webhooks.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { type RunningProcess, startProcess } from './harness/processes.ts'
import { type Receiver, startReceiver } from './harness/receiver.ts'
import { until } from './harness/wait.ts'

let database: FreshDatabase
let receiver: Receiver
let account: string
let running: RunningProcess[]

beforeEach(async () => {
  database = await freshDatabase()
  receiver = await startReceiver()
  account = await givenAccount(database.db)
  running = []
})

afterEach(async () => {
  await Promise.all(running.map((one) => one.kill()))
  await receiver.close()
  await database.drop()
})

test.each(['redis', 'postgres'] as const)(
  'a dispatcher on %s is woken, delivers, and drains on SIGTERM',
  async (kind) => {
    const queueing = {
      ...(kind === 'redis' && { REDIS_URL: inject('redisUrl') }),
      QUEUE_PREFIX: `test-${account}`,
    }
    const dispatcher = await start(queueing)
    const queue = openQueue({
      databaseUrl: database.url,
      redisUrl: queueing.REDIS_URL,
      prefix: queueing.QUEUE_PREFIX,
      name: 'test',
    })
    const id = await givenPrediction(database.db, account, { url: receiver.url })
    queue.signal('due', [id])
    await receiver.received(1)
    receiver.answerWith({ afterMs: 1_000 })
    const last = await givenPrediction(database.db, account, { url: receiver.url })
    await receiver.received(2)

    expect(await dispatcher.stop()).toBe(0)

    expect((await deliveriesOf(database.db, last))[0]).toMatchObject({ state: 'delivered', attempt: 1 })
    await queue.close()
  },
)

test('all sweeps of a dispatcher get to work at once when it starts', async () => {
  const dispatcher = await start({})

  expect(dispatcher.log()).not.toContain('a sweep failed')
})

test('a dispatcher whose Redis is gone ends all the same when it is told to', async () => {
  const { hostname, port } = new URL(inject('redisUrl'))
  const proxy = await startProxy({ host: hostname, port: Number(port) })
  const dispatcher = await start({
    REDIS_URL: `redis://127.0.0.1:${proxy.port}`,
    QUEUE_PREFIX: `test-${account}`,
  })
  proxy.set('refused')
  proxy.cut('reset')

  expect(await dispatcher.stop()).toBe(0)

  await proxy.close()
})

test('a dispatcher killed between claim and result: another one sends the same id and body', async () => {
  receiver.answerWith({ afterMs: 60_000 })
  const first = await start({})
  const id = await givenPrediction(database.db, account, { url: receiver.url })
  await receiver.received(1)
  await first.kill()
  expect((await deliveriesOf(database.db, id))[0]).toMatchObject({ state: 'sending', attempts: [] })
  receiver.answerWith({})

  await start({})

  const [before, after] = await receiver.received(2, 15_000)
  expect(after?.headers['webhook-id']).toBe(before?.headers['webhook-id'])
  expect(after?.body).toBe(before?.body)
  await until(async () => (await deliveriesOf(database.db, id))[0]?.state === 'delivered', {
    what: 'the delivery to be recorded',
  })
})

test('every wrong setting is named at once', () => {
  expect(() =>
    readConfig({
      DATABASE_URL: 'mysql://there',
      MASTER_KEY: 'short',
      PUBLIC_URL: 'http://127.0.0.1:3000',
      STORAGE_URL: 'file:///files',
      DELIVERY_SLOTS: '',
      PARTITIONS: 'week',
    }),
  ).toThrow(/DATABASE_URL: .*MASTER_KEY: .*PARTITIONS: must be month or day$/s)
})

test.each([
  ['http://127.0.0.1:3000', {}, false],
  ['http://localhost:3000', {}, false],
  ['http://localhost:3000', { OUTBOUND_LOOPBACK: 'true' }, true],
  ['https://millrace.example', { OUTBOUND_LOOPBACK: 'true' }, true],
])('with PUBLIC_URL %s and %o, loopback targets are open: %s', (publicUrl, environment, open) => {
  const { outbound } = readConfig({ ...settings(), PUBLIC_URL: publicUrl, ...environment })
  expect(outbound.loopback).toBe(open)
})

test('the ports of our own Postgres and Redis are closed to webhooks', () => {
  const redis = { REDIS_URL: 'redis://10.0.0.1,redis://10.0.0.2:7000' }
  const { outbound } = readConfig({ ...settings(), DATABASE_URL: 'postgres://10.0.0.3/millrace', ...redis })
  expect(outbound.closedPorts).toEqual([5432, 6379, 7000])
})

async function start(own: Record<string, string>): Promise<RunningProcess> {
  const dispatcher = await startProcess('dispatcher', {
    ...settings(),
    DATABASE_URL: database.url,
    OUTBOUND_LOOPBACK: 'true',
    ...own,
  })
  running.push(dispatcher)
  return dispatcher
}

const settings = () => ({
  DATABASE_URL: 'postgres://127.0.0.1/millrace',
  MASTER_KEY: masterKey,
  PUBLIC_URL: 'http://127.0.0.1:3000',
  STORAGE_URL: pathToFileURL(tmpdir()).href,
  WEBHOOK_TIMEOUT_SECONDS: '2',
})
