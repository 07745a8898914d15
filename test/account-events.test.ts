import { readSecrets } from '@millrace/accounts/signing-secrets'
import { transaction } from '@millrace/database/connect'
import { purgeAccountEvents } from '@millrace/dispatcher/sweep/purge-account-events'
import { type AccountEvent, postAccountEvents } from '@millrace/webhooks/account-events'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { givenAccount, givenEndpoint, givenSucceeded, ring } from './given-webhooks.ts'
import type { Receiver } from './harness/receiver.ts'
import { until } from './harness/wait.ts'
import { openSending, type Sending } from './sending-webhooks.ts'

let now: Sending
let account: string

beforeEach(async () => {
  now = await openSending()
  account = await givenAccount(now.db)
})

afterEach(() => now.close())

const low = (accountId: string): AccountEvent => ({
  accountId,
  name: 'balance.low',
  data: { id: 'acct_x', balance: 9 },
})

test('an event of an account is sent to each endpoint that subscribes, in its format, signed with its secret', async () => {
  const receiver = await now.receiving()
  const all = await givenEndpoint(now.db, account, `${receiver.url}all`)
  await givenEndpoint(
    now.db,
    account,
    `${receiver.url}named`,
    {},
    { events: ['balance.low'], format: 'thin' },
  )
  await givenEndpoint(now.db, account, `${receiver.url}flat`, {}, { format: 'prediction' })
  await givenEndpoint(
    now.db,
    account,
    `${receiver.url}other`,
    {},
    { events: ['budget.threshold', 'completed'] },
  )
  await givenEndpoint(now.db, await givenAccount(now.db), `${receiver.url}stranger`)

  expect(await transaction(now.db, (client) => postAccountEvents(client, [low(account)]))).toBe(3)
  now.sending()

  const requests = await receiver.received(3)
  await settled(3)
  const time = expect.stringMatching(/Z$/)
  expect(bodiesOf(receiver)).toEqual({
    '/all': { type: 'balance.low', timestamp: time, data: { id: 'acct_x', balance: 9 } },
    '/named': { type: 'balance.low', timestamp: time, data: { id: 'acct_x' } },
    '/flat': { type: 'balance.low', created_at: time, data: { id: 'acct_x', balance: 9 } },
  })
  const signed = requests.find(({ path }) => path === '/all')
  const { secrets } = await readSecrets(now.db, ring, { accountId: account, endpointId: all })
  const headers = signed?.headers as Record<string, string>
  expect(new Webhook(secrets[0] ?? '').verify(signed?.body ?? '', headers)).toHaveProperty('data.balance', 9)
  expect(headers['webhook-event']).toBe('balance.low')
})

test('an event whose cause was rolled back does not exist', async () => {
  const receiver = await now.receiving()
  await givenEndpoint(now.db, account, receiver.url)

  const failed = transaction(now.db, async (client) => {
    await postAccountEvents(client, [low(account)])
    throw new Error('the cause failed')
  })
  await expect(failed).rejects.toThrow('the cause failed')

  expect(await states()).toEqual([])
})

test('events that come close together do not wait for each other', async () => {
  const receiver = await now.receiving((_, nth) => ({ status: nth === 0 ? 500 : 200 }))
  await givenEndpoint(now.db, account, receiver.url)
  await postAccountEvents(now.db.pool, [low(account), low(account)])
  now.sending()

  await receiver.received(2)
  await until(async () => (await states()).includes('delivered'), { what: 'one of them to be delivered' })
  expect(await states()).toContain('due')
})

test('of an endpoint that answers 410 the others are told, once', async () => {
  const gone = await now.receiving({ status: 410 })
  const receiver = await now.receiving()
  const endpoint = await givenEndpoint(now.db, account, gone.url)
  await givenEndpoint(now.db, account, receiver.url, {}, { events: ['webhook.disabled'] })
  await givenEndpoint(now.db, await givenAccount(now.db), `${receiver.url}stranger`)
  await givenSucceeded(now.db, account)
  await givenSucceeded(now.db, account)
  now.sending()
  now.sending()

  await receiver.received(1)
  await settled(5)
  expect(receiver.requests.map(({ path }) => path)).toEqual(['/'])
  expect(JSON.parse(receiver.requests[0]?.body ?? '')).toEqual({
    type: 'webhook.disabled',
    timestamp: expect.stringMatching(/Z$/),
    data: {
      id: expect.stringMatching(/^whe_/),
      url: gone.url,
      disabled_reason: 'The endpoint answered 410 Gone',
      disabled_at: expect.stringMatching(/Z$/),
    },
  })
  const { rows } = await now.db.pool.query('select id from webhook_endpoints where not active')
  expect(rows).toEqual([{ id: endpoint }])
})

test('of an endpoint that failed for five days the others are told', async () => {
  const failing = await now.receiving({ status: 500 })
  const receiver = await now.receiving()
  const endpoint = await givenEndpoint(now.db, account, failing.url)
  await givenEndpoint(now.db, account, receiver.url, {}, { events: ['webhook.disabled'] })
  await now.db.pool.query(
    `update webhook_endpoints set failing_since = clock_timestamp() - interval '5 days 1 hour' where id = $1`,
    [endpoint],
  )
  await givenSucceeded(now.db, account)
  now.sending()

  const [told] = await receiver.received(1)
  expect(JSON.parse(told?.body ?? '')).toMatchObject({
    type: 'webhook.disabled',
    data: { url: failing.url, disabled_reason: 'Every delivery failed for 5 days' },
  })
})

test('deliveries of such events go when they are as old as predictions may become, and no others', async () => {
  const receiver = await now.receiving()
  await givenEndpoint(now.db, account, receiver.url)
  await postAccountEvents(now.db.pool, [low(account)])
  const id = await givenSucceeded(now.db, account)
  const purge = () => purgeAccountEvents({ db: now.db, retention: { fileDays: 0, valueDays: 0, rowDays: 0 } })
  expect(await purge()).toBe(0)

  now.sending()
  await settled(3)

  expect(await purge()).toBe(1)
  expect(await purge()).toBe(0)
  const left = await now.db.kysely.selectFrom('deliveries').select('prediction_id').execute()
  expect(left).toEqual([{ prediction_id: id }, { prediction_id: id }])
  expect(await now.db.kysely.selectFrom('webhook_bodies').select('id').execute()).toHaveLength(2)
})

const bodiesOf = ({ requests }: Receiver) =>
  Object.fromEntries(requests.map(({ path, body }) => [path, JSON.parse(body)]))

async function states(): Promise<string[]> {
  return (await now.db.kysely.selectFrom('deliveries').select('state').execute()).map(({ state }) => state)
}

/** Waits until so many deliveries are over. */
const settled = (count: number) =>
  until(
    async () => {
      const all = await states()
      return all.length === count && all.every((state) => state === 'delivered' || state === 'dropped')
    },
    { what: `${count} deliveries to end` },
  )
