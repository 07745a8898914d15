import { readSecrets, rotateSecret } from '@millrace/accounts/signing-secrets'
import { createGuard } from '@millrace/outbound/guard'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  deliveriesOf,
  dispatching,
  givenAccount,
  givenEndpoint,
  givenPrediction,
  givenSucceeded,
  makeDue,
  ring,
} from './given-webhooks.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { type Answer, type Receiver, startReceiver } from './harness/receiver.ts'
import { until } from './harness/wait.ts'

let database: FreshDatabase
let account: string
let closing: (() => Promise<unknown>)[]

beforeEach(async () => {
  database = await freshDatabase()
  account = await givenAccount(database.db)
  closing = []
})

afterEach(async () => {
  for (const close of closing.reverse()) await close()
  await database.drop()
})

test('the events of a prediction arrive in order, each signed and exactly as stored', async () => {
  const receiver = await receiving()
  const ids = await Promise.all(
    Array.from({ length: 20 }, () => givenSucceeded(database.db, account, { url: receiver.url })),
  )
  sending()
  sending()

  const requests = await receiver.received(60)

  const { secrets } = await readSecrets(database.db, ring, { accountId: account, endpointId: null })
  for (const request of requests) {
    new Webhook(secrets[0] ?? '').verify(request.body, request.headers as Record<string, string>)
    expect(request.headers['user-agent']).toMatch(/^Millrace-Webhooks\/\d+\.\d+\.\d+$/)
    expect(request.headers['webhook-event']).toBe(JSON.parse(request.body).type)
  }
  const order = Map.groupBy(
    requests.map(({ body }) => JSON.parse(body)),
    ({ id }) => id,
  )
  expect(order.size).toBe(ids.length)
  for (const events of order.values()) {
    expect(events.map(({ type }) => type)).toEqual([
      'prediction.created',
      'prediction.started',
      'prediction.succeeded',
    ])
  }
})

test('an event waits for the retry of the one before it', async () => {
  const receiver = await receiving((_request, index) => ({ status: index === 0 ? 500 : 200 }))
  const id = await givenSucceeded(database.db, account, { url: receiver.url })
  const dispatch = sending()
  await state(id, (first) => first?.attempts.length === 1)

  await makeDue(database.db, id)
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
  const receiver = await receiving(({ headers }) => ({
    status: headers['webhook-event'] === 'prediction.created' ? 500 : 200,
  }))
  const id = await givenSucceeded(database.db, account, { url: receiver.url })
  const dispatch = sending()
  await state(id, (first) => first?.attempts.length === 1)
  expect(receiver.requests).toHaveLength(1)

  await database.db.pool.query(
    `update deliveries set created_at = created_at - interval '61 seconds', due_at = due_at + interval '1 hour'
     where prediction_id = $1 and attempt > 0`,
    [id],
  )
  dispatch.wake()

  const types = (await receiver.received(3)).map(({ headers }) => headers['webhook-event'])
  expect(types).toEqual(['prediction.created', 'prediction.started', 'prediction.succeeded'])
})

test('a target that never answers delays nobody else', async () => {
  const slow = await receiving({ afterMs: 4_000 })
  const quick = await receiving()
  const others = await givenAccount(database.db)
  for (let count = 0; count < 40; count++) await givenPrediction(database.db, account, { url: slow.url })
  for (let count = 0; count < 10; count++) await givenPrediction(database.db, account, { url: quick.url })
  for (let count = 0; count < 10; count++) await givenPrediction(database.db, others, { url: quick.url })
  sending({ slots: 40 })

  await quick.received(20, 3_000)

  expect(slow.requests.length).toBeLessThanOrEqual(8)
})

test('a failed delivery is tried again by the schedule, and every attempt is kept', async () => {
  const receiver = await receiving({ status: 500, body: `no\0 ${'x'.repeat(5000)}` })
  const id = await givenPrediction(database.db, account, { url: receiver.url })
  const dispatch = sending()

  const [first] = await state(id, (one) => one?.attempts.length === 1)
  expect(first?.state).toBe('due')
  expect(first?.attempts[0]).toMatchObject({ attempt: 1, status_code: 500, error: 'HTTP 500' })
  expect(first?.attempts[0]?.response).toHaveLength(2048)
  expect(first?.attempts[0]?.response).not.toContain('\0')
  expect(secondsUntilDue(first)).toBeGreaterThan(3)
  expect(secondsUntilDue(first)).toBeLessThan(7)

  for (let made = 2; made <= 10; made++) {
    await makeDue(database.db, id)
    dispatch.wake()
    await state(id, (one) => one?.attempts.length === made && one.state !== 'sending')
  }
  const [last] = await deliveriesOf(database.db, id)
  expect(last).toMatchObject({ state: 'exhausted', attempt: 10 })
  expect(last?.completed_at).not.toBeNull()
  expect(new Set(receiver.requests.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
  expect(new Set(receiver.requests.map(({ body }) => body)).size).toBe(1)
})

test('Retry-After delays the next attempt, to at most twice its step', async () => {
  const receiver = await receiving({ status: 503, headers: { 'retry-after': '3600' } })
  const id = await givenPrediction(database.db, account, { url: receiver.url })
  sending()

  const [delivery] = await state(id, (one) => one?.attempts.length === 1)

  expect(secondsUntilDue(delivery)).toBeGreaterThan(8)
  expect(secondsUntilDue(delivery)).toBeLessThan(11)
})

test('a redirect is a failure and is not followed', async () => {
  const target = await receiving()
  const receiver = await receiving({ status: 307, headers: { location: target.url } })
  const id = await givenPrediction(database.db, account, { url: receiver.url })
  sending()

  const [delivery] = await state(id, (one) => one?.attempts.length === 1)

  expect(delivery?.attempts[0]).toMatchObject({
    status_code: 307,
    error: 'HTTP 307: redirects are not followed',
  })
  expect(target.requests).toEqual([])
})

test('410 ends the deliveries of that prediction to that URL', async () => {
  const receiver = await receiving({ status: 410 })
  const id = await givenSucceeded(database.db, account, { url: receiver.url })
  const other = await givenPrediction(database.db, account, { url: receiver.url })
  sending()

  await state(id, (_first, all) => all.length === 3 && all.every((one) => one.state === 'dropped'))
  await state(other, (one) => one?.state === 'dropped')

  expect(receiver.requests).toHaveLength(2)
})

test('an event that comes after a 410 is dropped without a request', async () => {
  const receiver = await receiving({ status: 410 })
  const id = await givenSucceeded(database.db, account, { url: receiver.url })
  await database.db.pool.query(
    `update deliveries set due_at = due_at + interval '1 hour' where prediction_id = $1 and event <> 'prediction.created'`,
    [id],
  )
  const dispatch = sending()
  await state(id, (first) => first?.state === 'dropped')
  await database.db.pool.query(
    `update deliveries set state = 'due', completed_at = null where prediction_id = $1 and event = 'prediction.succeeded'`,
    [id],
  )
  await makeDue(database.db, id)
  dispatch.wake()

  await state(id, (_first, all) => all.every((one) => one.state === 'dropped'))
  expect(receiver.requests).toHaveLength(1)
})

test('410 disables an account endpoint, and what is left for it is dropped', async () => {
  const receiver = await receiving({ status: 410 })
  const endpoint = await givenEndpoint(database.db, account, receiver.url)
  const id = await givenSucceeded(database.db, account)
  sending()

  await state(id, (_first, all) => all.length === 2 && all.every((one) => one.state === 'dropped'))

  expect(receiver.requests).toHaveLength(1)
  expect(await endpointRow(endpoint)).toMatchObject({
    active: false,
    disabled_reason: 'The endpoint answered 410 Gone',
  })
})

test('an endpoint that failed everything for five days is disabled; a success starts the count anew', async () => {
  const receiver = await receiving({ status: 500 })
  const endpoint = await givenEndpoint(database.db, account, receiver.url)
  const dispatch = sending()
  const first = await givenSucceeded(database.db, account)
  dispatch.wake()
  await state(first, (one) => one?.attempts.length === 1)
  expect((await endpointRow(endpoint)).failing_since).not.toBeNull()

  receiver.answerWith({ status: 200 })
  await makeDue(database.db, first)
  dispatch.wake()
  await state(first, (_one, all) => all.every(({ state }) => state === 'delivered'))
  expect(await endpointRow(endpoint)).toMatchObject({ failing_since: null, active: true })

  receiver.answerWith({ status: 500 })
  await database.db.pool.query(
    `update webhook_endpoints set failing_since = clock_timestamp() - interval '5 days 1 hour'`,
  )
  const second = await givenSucceeded(database.db, account)
  dispatch.wake()
  await state(second, (one) => one?.attempts.length === 1)
  expect(await endpointRow(endpoint)).toMatchObject({
    active: false,
    disabled_reason: 'Every delivery failed for 5 days',
  })
})

test('while a secret is rotated, both sign; an endpoint has its own', async () => {
  const receiver = await receiving()
  const endpoint = await givenEndpoint(database.db, account, receiver.url, {
    'X-Tenant': 'red',
    'Webhook-Id': 'forged',
  })
  const owner = { accountId: account, endpointId: endpoint }
  const before = (await readSecrets(database.db, ring, owner)).secrets[0] ?? ''
  const after = (await rotateSecret(database.db, ring, owner)).secrets[0] ?? ''
  await givenSucceeded(database.db, account)
  sending()

  const [request] = await receiver.received(1)

  const headers = request?.headers as Record<string, string>
  expect(headers['webhook-signature']?.split(' ')).toHaveLength(2)
  expect(headers['webhook-id']).toMatch(/^msg_/)
  expect(headers['x-tenant']).toBe('red')
  for (const secret of [before, after]) {
    expect(new Webhook(secret).verify(request?.body ?? '', headers)).toHaveProperty('data.status')
  }
  const { secrets } = await readSecrets(database.db, ring, { accountId: account, endpointId: null })
  expect(() => new Webhook(secrets[0] ?? '').verify(request?.body ?? '', headers)).toThrow()
})

test.each([
  ['a closed address', (port: string) => `http://127.0.0.1:${port}/`],
  [
    'a name that turned to a closed address after it was subscribed',
    (port: string) => `http://rebound.test:${port}/`,
  ],
])('%s is refused at connect, in words that tell nothing', async (_what, urlOf) => {
  const receiver = await receiving()
  const { port } = new URL(receiver.url)
  let asked = 0
  // The first look-up is the check before the request, the second is the socket's own.
  const resolve = async () => [{ address: asked++ === 0 ? '93.184.216.34' : '127.0.0.1', family: 4 }]
  const guard = createGuard({ allow: [], loopback: false, resolve })
  const open = await givenPrediction(database.db, account, { url: urlOf(port) })
  const shut = await givenPrediction(database.db, account, { url: urlOf('9') })
  sending({ guard })

  const [ofOpen] = await state(open, (one) => one?.attempts.length === 1)
  const [ofShut] = await state(shut, (one) => one?.attempts.length === 1)

  expect(receiver.requests).toEqual([])
  expect(ofOpen?.attempts[0]).toMatchObject({
    status_code: null,
    error: 'The target may not be called by this service',
  })
  expect(ofShut?.attempts[0]?.error).toBe(ofOpen?.attempts[0]?.error)
})

test('a delivery whose dispatcher died is sent again with the same id and body', async () => {
  const receiver = await receiving({ afterMs: 1_500 })
  const id = await givenPrediction(database.db, account, { url: receiver.url })
  sending()
  await receiver.received(1)
  receiver.answerWith({})
  await database.db.pool.query(
    `update deliveries set lease_until = clock_timestamp() - interval '1 second' where prediction_id = $1`,
    [id],
  )
  sending()

  const [first, second] = await receiver.received(2)

  expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id'])
  expect(second?.body).toBe(first?.body)
  const [delivery] = await state(id, (one) => one?.attempts.length === 2)
  expect(delivery).toMatchObject({ state: 'delivered', attempt: 2 })
})

test('stopping finishes what is under way and leaves the rest due', async () => {
  const receiver = await receiving({ afterMs: 300 })
  const ids = await Promise.all(
    Array.from({ length: 12 }, () => givenPrediction(database.db, account, { url: receiver.url })),
  )
  const dispatch = sending()
  await receiver.received(8)

  await dispatch.stop(5_000)

  const states = (await Promise.all(ids.map((id) => deliveriesOf(database.db, id)))).map(
    ([one]) => one?.state,
  )
  expect(states.filter((one) => one === 'delivered')).toHaveLength(8)
  expect(states.filter((one) => one === 'due')).toHaveLength(4)
})

async function receiving(answer?: Answer | Parameters<Receiver['answerWith']>[0]): Promise<Receiver> {
  const receiver = await startReceiver(answer)
  closing.push(() => receiver.close())
  return receiver
}

function sending(options: Parameters<typeof dispatching>[1] = {}) {
  const dispatch = dispatching(database.db, options)
  closing.push(() => dispatch.stop(100))
  return dispatch
}

type Deliveries = Awaited<ReturnType<typeof deliveriesOf>>

/** Waits until the deliveries of a prediction are as wanted, and answers with them. */
function state(id: string, wanted: (first: Deliveries[number] | undefined, all: Deliveries) => boolean) {
  return until(
    async () => {
      const all = await deliveriesOf(database.db, id)
      return wanted(all[0], all) && all
    },
    { what: 'the deliveries to be as wanted' },
  )
}

function secondsUntilDue(delivery: Deliveries[number] | undefined): number {
  const last = delivery?.attempts.at(-1)
  return ((delivery?.due_at.getTime() ?? 0) - (last?.at.getTime() ?? 0)) / 1000
}

function endpointRow(id: string) {
  return database.db.kysely
    .selectFrom('webhook_endpoints')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}
