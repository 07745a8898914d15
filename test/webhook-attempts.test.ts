import { databaseNow } from '@millrace/database/clock'
import { type ClaimedDelivery, claimDue } from '@millrace/dispatcher/claim-due'
import { createLoad } from '@millrace/dispatcher/load'
import { createResults, type Recorded } from '@millrace/dispatcher/record'
import { listDeliveries } from '@millrace/lifecycle/deliveries'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { givenAccount, givenPrediction } from './given-webhooks.ts'
import { openSending, type Sending } from './sending-webhooks.ts'

let now: Sending
let account: string

beforeEach(async () => {
  now = await openSending()
  account = await givenAccount(now.db)
})

afterEach(() => now.close())

test('attempts that 0.1 kept in rows of their own are listed with those since, and are steps of the schedule', async () => {
  const receiver = await now.receiving({ status: 500, body: 'of now' })
  const id = await givenPrediction(now.db, account, { url: receiver.url, events: ['prediction.created'] })
  await now.db.pool.query('update deliveries set attempt = 2 where prediction_id = $1', [id])
  await now.db.pool.query(
    `insert into delivery_attempts (delivery_id, attempt, at, status_code, duration_ms, response, error)
     select id, nth, created_at, 503, 7, 'of 0.1', 'HTTP 503'
     from deliveries, generate_series(1, 2) nth where prediction_id = $1`,
    [id],
  )

  now.sending()

  const [delivery] = await now.state(id, (one) => one?.attempts.length === 1 && one.state === 'due')
  expect(await attemptsOf(id)).toMatchObject([
    { attempt: 1, status_code: 503, duration_ms: 7, response: 'of 0.1', error: 'HTTP 503' },
    { attempt: 2, status_code: 503, duration_ms: 7, response: 'of 0.1', error: 'HTTP 503' },
    { attempt: 3, status_code: 500, response: 'of now', error: 'HTTP 500' },
  ])
  const [, , third] = await attemptsOf(id)
  const waits = ((delivery?.due_at.getTime() ?? 0) - Date.parse(third?.at ?? '')) / 1000
  expect(waits).toBeGreaterThan(1_800 * 0.79)
  expect(waits).toBeLessThan(1_800 * 1.21)
})

test('the attempt of a result that comes too late is kept, and changes nothing else', async () => {
  const id = await givenPrediction(now.db, account, {
    url: 'http://receiver.test/',
    events: ['prediction.created'],
  })
  const results = createResults(now.db, 1_000)
  const [first, second] = [await claimed(0), await claimed(60)]

  expect(await results.add(answered(first, 200))).toBe(false)

  const [sending] = await now.state(id, () => true)
  expect(sending).toMatchObject({ state: 'sending', attempt: 2, completed_at: null })
  expect(await attemptsOf(id)).toMatchObject([{ attempt: 1, status_code: 200, error: null }])

  expect(await results.add(answered(second, 500))).toBe(true)
  expect(await attemptsOf(id)).toMatchObject([
    { attempt: 1, status_code: 200 },
    { attempt: 2, status_code: 500, error: 'HTTP 500' },
  ])
})

test('of several results of one delivery that are written together, each attempt is kept and the last one counts', async () => {
  const id = await givenPrediction(now.db, account, {
    url: 'http://receiver.test/',
    events: ['prediction.created'],
  })
  const results = createResults(now.db, 1_000)
  const attempts = [await claimed(0), await claimed(0), await claimed(60)]

  const counts = await Promise.all(attempts.map((delivery) => results.add(answered(delivery, 200))))

  expect(counts).toEqual([false, false, true])
  const [delivery] = await now.state(id, () => true)
  expect(delivery).toMatchObject({ state: 'delivered', attempt: 3 })
  expect((await attemptsOf(id)).map(({ attempt }) => attempt)).toEqual([1, 2, 3])
})

test('a result that is written again, its answer being lost, is there once', async () => {
  const id = await givenPrediction(now.db, account, {
    url: 'http://receiver.test/',
    events: ['prediction.created'],
  })
  const results = createResults(now.db, 1_000)
  const result = answered(await claimed(60), 500)
  expect(await results.add(result)).toBe(true)
  const [before] = await now.state(id, () => true)

  expect(await results.add(result)).toBe(false)

  const [after] = await now.state(id, () => true)
  expect(after).toEqual(before)
  expect(await attemptsOf(id)).toHaveLength(1)
})

test('a delivery that was given back untried, and again, its answer being lost, stays with whoever has it by then', async () => {
  const id = await givenPrediction(now.db, account, {
    url: 'http://receiver.test/',
    events: ['prediction.created'],
  })
  const results = createResults(now.db, 1_000)
  const untried = { state: 'due', waitSeconds: 0, untried: true } as const
  const given = { delivery: await claimed(60), answer: undefined, verdict: untried }
  expect(await results.add(given)).toBe(true)
  const taken = await claimed(60)

  expect(await results.add(given)).toBe(false)

  expect(await now.state(id, () => true)).toMatchObject([{ state: 'sending', attempt: 1 }])
  expect(await results.add(answered(taken, 200))).toBe(true)
})

/** Takes the one delivery there is, with a lease of so long. */
async function claimed(leaseSeconds: number): Promise<ClaimedDelivery> {
  const saturation = createLoad({ slots: 64, slotsPerAccount: 16 }).saturation()
  const request = { limit: 64, slotsPerAccount: 16, leaseSeconds, saturation, wide: true }
  const [delivery] = (await claimDue(now.db, request)).claimed
  if (!delivery) throw new Error('There was nothing to claim')
  return delivery
}

function answered(delivery: ClaimedDelivery, statusCode: number): Recorded {
  const at = new Date(databaseNow())
  return {
    delivery,
    answer: {
      kind: 'answered',
      statusCode,
      response: 'said',
      retryAfterSeconds: undefined,
      at,
      durationMs: 3,
    },
    verdict: statusCode === 200 ? { state: 'delivered' } : { state: 'due', waitSeconds: 5 },
  }
}

async function attemptsOf(predictionId: string) {
  const { rows } = await listDeliveries(now.db, predictionId, { size: 5 })
  return rows.flatMap(({ attempts }) => attempts)
}
