import { readSecrets, rotateSecret } from '@millrace/accounts/signing-secrets'
import { createGuard } from '@millrace/outbound/guard'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  givenAccount,
  givenEndpoint,
  givenPrediction,
  givenSucceeded,
  makeDue,
  ring,
} from './given-webhooks.ts'
import { openSending, type Sending } from './sending-webhooks.ts'

let now: Sending
let account: string

beforeEach(async () => {
  now = await openSending()
  account = await givenAccount(now.db)
})

afterEach(() => now.close())

test('410 ends the deliveries of that prediction to that URL', async () => {
  const receiver = await now.receiving({ status: 410 })
  const id = await givenSucceeded(now.db, account, { url: receiver.url })
  const other = await givenPrediction(now.db, account, { url: receiver.url })
  now.sending()

  await now.state(id, (_first, all) => all.length === 3 && all.every((one) => one.state === 'dropped'))
  await now.state(other, (one) => one?.state === 'dropped')

  expect(receiver.requests).toHaveLength(2)
})

test('an event that comes after a 410 is dropped without a request', async () => {
  const receiver = await now.receiving({ status: 410 })
  const id = await givenSucceeded(now.db, account, { url: receiver.url })
  await now.db.pool.query(
    `update deliveries set due_at = due_at + interval '1 hour' where prediction_id = $1 and event <> 'prediction.created'`,
    [id],
  )
  const dispatch = now.sending()
  await now.state(id, (first) => first?.state === 'dropped')
  await now.db.pool.query(
    `update deliveries set state = 'due', completed_at = null where prediction_id = $1 and event = 'prediction.succeeded'`,
    [id],
  )
  await makeDue(now.db, id)
  dispatch.wake()

  await now.state(id, (_first, all) => all.every((one) => one.state === 'dropped'))
  expect(receiver.requests).toHaveLength(1)
})

test('410 disables an account endpoint, and what is left for it is dropped', async () => {
  const receiver = await now.receiving({ status: 410 })
  const endpoint = await givenEndpoint(now.db, account, receiver.url)
  const id = await givenSucceeded(now.db, account)
  now.sending()

  await now.state(id, (_first, all) => all.length === 2 && all.every((one) => one.state === 'dropped'))

  expect(receiver.requests).toHaveLength(1)
  expect(await endpointRow(endpoint)).toMatchObject({
    active: false,
    disabled_reason: 'The endpoint answered 410 Gone',
  })
})

test('an endpoint that failed everything for five days is disabled; a success starts the count anew', async () => {
  const receiver = await now.receiving({ status: 500 })
  const endpoint = await givenEndpoint(now.db, account, receiver.url)
  const dispatch = now.sending()
  const first = await givenSucceeded(now.db, account)
  dispatch.wake()
  await now.state(first, (one) => one?.attempts.length === 1 && one.state !== 'sending')
  expect((await endpointRow(endpoint)).failing_since).not.toBeNull()

  receiver.answerWith({ status: 200 })
  await makeDue(now.db, first)
  dispatch.wake()
  await now.state(first, (_one, all) => all.every(({ state }) => state === 'delivered'))
  expect(await endpointRow(endpoint)).toMatchObject({ failing_since: null, active: true })

  receiver.answerWith({ status: 500 })
  await now.db.pool.query(
    `update webhook_endpoints set failing_since = clock_timestamp() - interval '5 days 1 hour'`,
  )
  const second = await givenSucceeded(now.db, account)
  dispatch.wake()
  await now.state(second, (one) => one?.attempts.length === 1 && one.state !== 'sending')
  expect(await endpointRow(endpoint)).toMatchObject({
    active: false,
    disabled_reason: 'Every delivery failed for 5 days',
  })
})

test('while a secret is rotated, both sign; an endpoint has its own', async () => {
  const receiver = await now.receiving()
  const endpoint = await givenEndpoint(now.db, account, receiver.url, {
    'X-Tenant': 'red',
    'Webhook-Id': 'forged',
  })
  const owner = { accountId: account, endpointId: endpoint }
  const before = (await readSecrets(now.db, ring, owner)).secrets[0] ?? ''
  const after = (await rotateSecret(now.db, ring, owner, { kind: 'cli' })).secrets[0] ?? ''
  await givenSucceeded(now.db, account)
  now.sending()

  const [request] = await receiver.received(1)

  const headers = request?.headers as Record<string, string>
  expect(headers['webhook-signature']?.split(' ')).toHaveLength(2)
  expect(headers['webhook-id']).toMatch(/^msg_/)
  expect(headers['x-tenant']).toBe('red')
  for (const secret of [before, after]) {
    expect(new Webhook(secret).verify(request?.body ?? '', headers)).toHaveProperty('data.status')
  }
  const { secrets } = await readSecrets(now.db, ring, { accountId: account, endpointId: null })
  expect(() => new Webhook(secrets[0] ?? '').verify(request?.body ?? '', headers)).toThrow()
})

test.each([
  ['a closed address', (port: string) => `http://127.0.0.1:${port}/`],
  [
    'a name that turned to a closed address after it was subscribed',
    (port: string) => `http://rebound.test:${port}/`,
  ],
])('%s is refused at connect, in words that tell nothing', async (_what, urlOf) => {
  const receiver = await now.receiving()
  const { port } = new URL(receiver.url)
  let asked = 0
  // The first look-up is the check before the request, the second is the socket's own.
  const resolve = async () => [{ address: asked++ === 0 ? '93.184.216.34' : '127.0.0.1', family: 4 }]
  const guard = createGuard({ allow: [], loopback: false, resolve })
  const open = await givenPrediction(now.db, account, { url: urlOf(port) })
  const shut = await givenPrediction(now.db, account, { url: urlOf('9') })
  now.sending({ guard })

  const [ofOpen] = await now.state(open, (one) => one?.attempts.length === 1 && one.state !== 'sending')
  const [ofShut] = await now.state(shut, (one) => one?.attempts.length === 1 && one.state !== 'sending')

  expect(receiver.requests).toEqual([])
  expect(ofOpen?.attempts[0]).toMatchObject({
    status_code: null,
    error: 'The target may not be called by this service',
  })
  expect(ofShut?.attempts[0]?.error).toBe(ofOpen?.attempts[0]?.error)
})

function endpointRow(id: string) {
  return now.db.kysely
    .selectFrom('webhook_endpoints')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}
