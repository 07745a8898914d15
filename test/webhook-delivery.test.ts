import { readSecrets } from '@millrace/accounts/signing-secrets'
import { claimDue } from '@millrace/dispatcher/claim-due'
import { createLoad } from '@millrace/dispatcher/load'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  deliveriesOf,
  givenAccount,
  givenPrediction,
  givenSucceeded,
  makeDue,
  ring,
} from './given-webhooks.ts'
import { until } from './harness/wait.ts'
import { type Deliveries, openSending, type Sending } from './sending-webhooks.ts'

let now: Sending
let account: string

beforeEach(async () => {
  now = await openSending()
  account = await givenAccount(now.db)
})

afterEach(() => now.close())

test('the events of a prediction arrive in order, each signed and exactly as stored', async () => {
  const receiver = await now.receiving({ afterMs: 30 })
  const ids = await Promise.all(
    Array.from({ length: 24 }, () => givenSucceeded(now.db, account, { url: receiver.url })),
  )
  now.sending()
  now.sending()

  const requests = await receiver.received(72)

  const { secrets } = await readSecrets(now.db, ring, { accountId: account, endpointId: null })
  for (const request of requests) {
    new Webhook(secrets[0] ?? '').verify(request.body, request.headers as Record<string, string>)
    expect(request.headers['user-agent']).toMatch(/^Millrace-Webhooks\/\d+\.\d+\.\d+$/)
    expect(request.headers['webhook-event']).toBe(JSON.parse(request.body).type)
  }
  const stored = await now.db.kysely.selectFrom('webhook_bodies').select('body').execute()
  expect(requests.map(({ body }) => body).toSorted()).toEqual(stored.map(({ body }) => body).toSorted())

  const predictions = Map.groupBy(requests, ({ body }) => JSON.parse(body).id)
  expect(predictions.size).toBe(ids.length)
  for (const events of predictions.values()) {
    expect(events.map(({ headers }) => headers['webhook-event'])).toEqual([
      'prediction.created',
      'prediction.started',
      'prediction.succeeded',
    ])
    // Each was sent only after the one before was answered.
    const [first = 0, second = 0, third = 0] = events.map(({ at }) => at)
    expect(Math.min(second - first, third - second)).toBeGreaterThan(25)
  }
})

test('the events that follow one that another dispatcher took meanwhile wait for it', async () => {
  const receiver = await now.receiving()
  const id = await givenSucceeded(now.db, account, { url: receiver.url })
  const other = await now.db.pool.connect()
  await other.query('begin')
  await other.query(
    `update deliveries set state = 'sending', attempt = 1, lease_until = clock_timestamp() + interval '1 s'
     where prediction_id = $1 and event = 'prediction.created'`,
    [id],
  )
  now.sending()
  const isWaiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  await until(async () => (await now.db.pool.query(isWaiting)).rowCount, { what: 'the claim to wait for it' })
  await other.query('commit')
  other.release()

  const types = (await receiver.received(3)).map(({ headers }) => headers['webhook-event'])
  expect(types).toEqual(['prediction.created', 'prediction.started', 'prediction.succeeded'])
})

test('an event waits for the retry of the one before it', async () => {
  const receiver = await now.receiving((_request, index) => ({ status: index === 0 ? 500 : 200 }))
  const id = await givenSucceeded(now.db, account, { url: receiver.url })
  const dispatch = now.sending()
  await now.state(id, (first) => first?.attempts.length === 1 && first.state !== 'sending')

  await makeDue(now.db, id)
  dispatch.wake()

  const types = (await receiver.received(4)).map(({ headers }) => headers['webhook-event'])
  expect(types).toEqual([
    'prediction.created',
    'prediction.created',
    'prediction.started',
    'prediction.succeeded',
  ])
})

test('after its first minute a failing event no longer holds the next one back', async () => {
  const receiver = await now.receiving(({ headers }) => ({
    status: headers['webhook-event'] === 'prediction.created' ? 500 : 200,
  }))
  const id = await givenSucceeded(now.db, account, { url: receiver.url })
  const dispatch = now.sending()
  await now.state(id, (first) => first?.attempts.length === 1 && first.state !== 'sending')
  expect(receiver.requests).toHaveLength(1)

  await now.db.pool.query(
    `update deliveries set created_at = created_at - interval '61 seconds', due_at = due_at + interval '1 hour'
     where prediction_id = $1 and attempt > 0`,
    [id],
  )
  dispatch.wake()

  const types = (await receiver.received(3)).map(({ headers }) => headers['webhook-event'])
  expect(types).toEqual(['prediction.created', 'prediction.started', 'prediction.succeeded'])
})

test('a target that never answers delays nobody else', async () => {
  const slow = await now.receiving({ afterMs: 4_000 })
  const quick = await now.receiving()
  const others = await givenAccount(now.db)
  for (let count = 0; count < 40; count++) await givenPrediction(now.db, account, { url: slow.url })
  for (let count = 0; count < 10; count++) await givenPrediction(now.db, account, { url: quick.url })
  for (let count = 0; count < 10; count++) await givenPrediction(now.db, others, { url: quick.url })
  now.sending({ slots: 40 })

  await quick.received(20, 3_000)

  expect(slow.requests.length).toBeLessThanOrEqual(8)
})

test('a failed delivery is tried again by the schedule, and every attempt is kept', async () => {
  const receiver = await now.receiving({ status: 500, body: `no\0 ${'x'.repeat(5000)}` })
  const id = await givenPrediction(now.db, account, { url: receiver.url })
  const dispatch = now.sending()

  const [first] = await now.state(id, (one) => one?.attempts.length === 1 && one.state !== 'sending')
  expect(first?.state).toBe('due')
  expect(first?.attempts[0]).toMatchObject({ attempt: 1, status_code: 500, error: 'HTTP 500' })
  expect(first?.attempts[0]?.response).toHaveLength(2048)
  expect(first?.attempts[0]?.response).not.toContain('\0')
  expect(secondsUntilDue(first)).toBeGreaterThan(3)
  expect(secondsUntilDue(first)).toBeLessThan(7)

  for (let made = 2; made <= 10; made++) {
    await makeDue(now.db, id)
    dispatch.wake()
    await now.state(id, (one) => one?.attempts.length === made && one.state !== 'sending')
  }
  const [last] = await deliveriesOf(now.db, id)
  expect(last).toMatchObject({ state: 'exhausted', attempt: 10 })
  expect(last?.completed_at).not.toBeNull()
  expect(new Set(receiver.requests.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
  expect(new Set(receiver.requests.map(({ body }) => body)).size).toBe(1)
})

test('Retry-After delays the next attempt, to at most twice its step', async () => {
  const receiver = await now.receiving({ status: 503, headers: { 'retry-after': '3600' } })
  const id = await givenPrediction(now.db, account, { url: receiver.url })
  now.sending()

  const [delivery] = await now.state(id, (one) => one?.attempts.length === 1 && one.state !== 'sending')

  expect(secondsUntilDue(delivery)).toBeGreaterThan(8)
  expect(secondsUntilDue(delivery)).toBeLessThan(11)
})

test('a redirect is a failure and is not followed', async () => {
  const target = await now.receiving()
  const receiver = await now.receiving({ status: 307, headers: { location: target.url } })
  const id = await givenPrediction(now.db, account, { url: receiver.url })
  now.sending()

  const [delivery] = await now.state(id, (one) => one?.attempts.length === 1 && one.state !== 'sending')

  expect(delivery?.attempts[0]).toMatchObject({
    status_code: 307,
    error: 'HTTP 307: redirects are not followed',
  })
  expect(target.requests).toEqual([])
})

test('a delivery whose dispatcher died is sent again with the same id and body', async () => {
  const receiver = await now.receiving({ afterMs: 1_500 })
  const id = await givenPrediction(now.db, account, { url: receiver.url })
  now.sending()
  await receiver.received(1)
  receiver.answerWith({})
  await now.db.pool.query(
    `update deliveries set lease_until = clock_timestamp() - interval '1 second' where prediction_id = $1`,
    [id],
  )
  now.sending()

  const [first, second] = await receiver.received(2)

  expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id'])
  expect(second?.body).toBe(first?.body)
  const [delivery] = await now.state(id, (one) => one?.attempts.length === 2)
  expect(delivery).toMatchObject({ state: 'delivered', attempt: 2 })
})

test('a dispatcher that dies again and again before it sends uses up nothing of the schedule', async () => {
  const receiver = await now.receiving({ status: 500 })
  const id = await givenPrediction(now.db, account, { url: receiver.url })
  for (let crashes = 0; crashes < 9; crashes++) await claimAndDie(id)
  const dispatch = now.sending()

  const [first] = await now.state(id, (one) => one?.attempts.length === 1 && one.state !== 'sending')
  expect(first).toMatchObject({ state: 'due', attempt: 10 })
  expect(secondsUntilDue(first)).toBeGreaterThan(3)
  expect(secondsUntilDue(first)).toBeLessThan(7)

  await makeDue(now.db, id)
  dispatch.wake()
  const [second] = await now.state(id, (one) => one?.attempts.length === 2 && one.state !== 'sending')
  expect(second?.state).toBe('due')
  expect(secondsUntilDue(second)).toBeGreaterThan(235)
  expect(secondsUntilDue(second)).toBeLessThan(365)
})

test('stopping finishes what is under way and leaves the rest due', async () => {
  const receiver = await now.receiving({ afterMs: 300 })
  const ids = await Promise.all(
    Array.from({ length: 12 }, () => givenPrediction(now.db, account, { url: receiver.url })),
  )
  const dispatch = now.sending()
  await receiver.received(8)

  await dispatch.stop(5_000)

  const states = (await Promise.all(ids.map((id) => deliveriesOf(now.db, id)))).map(([one]) => one?.state)
  expect(states.filter((one) => one === 'delivered')).toHaveLength(8)
  expect(states.filter((one) => one === 'due')).toHaveLength(4)
})

/** What a dispatcher leaves that is killed between its claim and its request, once the lease has run out. */
async function claimAndDie(id: string): Promise<void> {
  const saturation = createLoad({ slots: 64, slotsPerAccount: 16 }).saturation()
  const request = { limit: 64, slotsPerAccount: 16, leaseSeconds: 0, saturation, wide: true }
  const { claimed } = await claimDue(now.db, request)
  expect(claimed).toMatchObject([{ prediction_id: id }])
}

function secondsUntilDue(delivery: Deliveries[number] | undefined): number {
  const last = delivery?.attempts.at(-1)
  return ((delivery?.due_at.getTime() ?? 0) - Date.parse(last?.at ?? '')) / 1000
}
