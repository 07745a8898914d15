import { createLoad } from '@millrace/dispatcher/load'
import { postponeWaiting } from '@millrace/dispatcher/postpone'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { givenAccount, givenPrediction, givenSucceeded } from './given-webhooks.ts'
import { openSending, type Sending } from './sending-webhooks.ts'

let now: Sending
let failing: string
let other: string

beforeEach(async () => {
  now = await openSending()
  failing = await givenAccount(now.db)
  other = await givenAccount(now.db)
})

afterEach(() => now.close())

test('a target that fails at volume delays nobody else', async () => {
  await givenWaiting(7_000, { attempt: 1, dueInSeconds: 3_600 })
  const receiver = await now.receiving()
  const dispatch = now.sending()

  for (let count = 1; count <= 5; count++) {
    await givenPrediction(now.db, other, { url: receiver.url, events: ['prediction.created'] })
    dispatch.wake()
    await receiver.received(count, 8_000)
  }
})

test('behind many that wait for what is under way, others are looked for at once', async () => {
  await givenWaiting(200, { attempt: 1, dueInSeconds: -1, leaseSeconds: 3_600 })
  const receiver = await now.receiving()
  const dispatch = now.sending()
  const began = performance.now()

  for (let count = 1; count <= 20; count++) {
    dispatch.wake() // which looks wide, so that the next look is not to
    await givenPrediction(now.db, other, { url: receiver.url, events: ['prediction.created'] })
    dispatch.wake()
    await receiver.received(count)
  }

  expect(performance.now() - began).toBeLessThan(6_000)
})

test('what waits for a retry is due with it, and at once when the earlier event is delivered before', async () => {
  const receiver = await now.receiving((_request, index) => ({ status: index === 0 ? 500 : 200 }))
  const id = await givenSucceeded(now.db, failing, { url: receiver.url })
  const dispatch = now.sending()
  await now.state(id, (one) => one?.attempts.length === 1 && one.state === 'due')

  expect(await postpone()).toBe(2)
  expect(await postpone()).toBe(0)

  const [first, ...waiting] = await now.state(id, () => true)
  for (const { due_at } of waiting) expect(due_at).toEqual(first?.due_at)

  await now.db.pool.query(
    `update deliveries set due_at = due_at + interval '40 s' where prediction_id = $1 and attempt = 0`,
    [id],
  )
  await now.db.pool.query(
    `update deliveries set due_at = clock_timestamp() where prediction_id = $1 and attempt = 1`,
    [id],
  )
  dispatch.wake()
  const types = (await receiver.received(4)).map(({ headers }) => headers['webhook-event'])
  expect(types.slice(1)).toEqual(['prediction.created', 'prediction.started', 'prediction.succeeded'])
})

test('nothing waits longer than the first minute of the event before it', async () => {
  const receiver = await now.receiving({ status: 500 })
  const id = await givenSucceeded(now.db, failing, { url: receiver.url })
  now.sending()
  await now.state(id, (one) => one?.attempts.length === 1 && one.state === 'due')
  await now.db.pool.query(
    `update deliveries set due_at = due_at + interval '1 hour' where prediction_id = $1 and attempt = 1`,
    [id],
  )

  expect(await postpone()).toBe(2)

  const [first, ...waiting] = await now.state(id, () => true)
  for (const { due_at } of waiting) {
    expect(due_at.getTime() - (first?.created_at.getTime() ?? 0)).toBe(60_000)
  }
})

test('what waits for an event that did not fail stays where it is', async () => {
  const receiver = await now.receiving({ hang: true })
  await givenSucceeded(now.db, failing, { url: receiver.url })
  expect(await postpone()).toBe(0)
  now.sending()
  await receiver.received(1)
  expect(await postpone()).toBe(0)
})

const postpone = () => postponeWaiting(now.db, createLoad({ slots: 64, slotsPerAccount: 16 }).saturation())

/** So many predictions whose first event is as told, each with three due events that wait for it. */
async function givenWaiting(
  predictions: number,
  first: { attempt: number; dueInSeconds: number; leaseSeconds?: number },
): Promise<void> {
  const id = await givenPrediction(now.db, failing, {
    url: 'http://127.0.0.1:9/',
    events: ['prediction.created'],
  })
  await now.db.pool.query(
    `with kind as (delete from deliveries where prediction_id = $1 returning *),
     given as (
       select account_id, uuidv7() as prediction_id, url, host, event, body_id, clock_timestamp() - interval '3 s' as at
       from kind, generate_series(1, $2::integer)
     ), firsts as (
       insert into deliveries (id, account_id, prediction_id, url, host, event, seq, body_id, created_at,
                               attempt, due_at, state, lease_until)
       select uuidv7(), account_id, prediction_id, url, host, event, 1, body_id, at,
              $3::integer, clock_timestamp() + make_interval(secs => $4),
              case when $5::float8 is null then 'due' else 'sending' end, clock_timestamp() + make_interval(secs => $5)
       from given
     )
     insert into deliveries (id, account_id, prediction_id, url, host, event, seq, body_id, created_at, due_at)
     select uuidv7(), account_id, prediction_id, url, host, event, seq, body_id, at, at from given, generate_series(2, 4) seq`,
    [id, predictions, first.attempt, first.dueInSeconds, first.leaseSeconds ?? null],
  )
}
