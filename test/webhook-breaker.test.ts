import { createBreaker } from '@millrace/dispatcher/breaker'
import { type ClaimedDelivery, claimDue, slotsPerHost } from '@millrace/dispatcher/claim-due'
import { createLoad } from '@millrace/dispatcher/load'
import { beforeEach, expect, test } from 'vitest'
import { givenAccount, givenPrediction } from './given-webhooks.ts'
import { freshDatabase } from './harness/database.ts'

let time: number
let breaker: ReturnType<typeof createBreaker>

beforeEach(() => {
  time = 1_000_000
  breaker = createBreaker(() => time)
})

test('a target that stays silent ten times in a row gets a rest, then a single try', () => {
  silence(9)
  expect(breaker.targets()).toEqual({ open: [], halfOpen: [] })
  silence(1)
  expect(breaker.targets()).toEqual({ open: ['a.test'], halfOpen: [] })
  time += 5_001
  expect(breaker.targets()).toEqual({ open: [], halfOpen: ['a.test'] })
})

test('any answer opens it again', () => {
  silence(10)
  time += 5_001
  breaker.report('a.test', true)
  expect(breaker.targets()).toEqual({ open: [], halfOpen: [] })
  silence(9)
  expect(breaker.targets()).toEqual({ open: [], halfOpen: [] })
})

test('each try in vain doubles the rest, to a minute at most', () => {
  silence(10)
  for (const rest of [5, 10, 20, 40, 60, 60]) {
    time += rest * 1000 - 1
    expect(breaker.targets().open).toEqual(['a.test'])
    time += 2
    expect(breaker.targets().halfOpen).toEqual(['a.test'])
    silence(1)
  }
})

test('what was under way when it opened does not prolong the rest', () => {
  silence(30)
  time += 5_001
  expect(breaker.targets().halfOpen).toEqual(['a.test'])
})

test('a path that hangs costs its own account the host, not the others that share it', async () => {
  const database = await freshDatabase()
  const [hanging, sound] = [await givenAccount(database.db), await givenAccount(database.db)]
  const url = 'http://shared.test/hook'
  for (const account of [hanging, hanging, sound, sound]) await givenPrediction(database.db, account, { url })
  const load = createLoad({ slots: 64, slotsPerAccount: 16, now: () => time })
  const claim = async () => {
    const saturation = load.saturation()
    const { claimed } = await claimDue(database.db, {
      limit: 64,
      slotsPerAccount: 16,
      leaseSeconds: 60,
      saturation,
      wide: true,
    })
    for (const delivery of claimed) void load.turn(delivery)
    return claimed.map(({ account_id }) => account_id)
  }
  for (let count = 0; count < 10; count++) {
    const delivery = { account_id: hanging, host: 'shared.test' } as ClaimedDelivery
    void load.turn(delivery)
    load.leave(delivery, false)
  }

  expect(await claim()).toEqual([sound, sound])
  time += 5_001
  expect(await claim()).toEqual([hanging])
  expect(await claim()).toEqual([])
  await database.drop()
})

test('a long backlog of one account is looked behind', async () => {
  const { db } = await freshDatabase()
  const [busy, other] = [await givenAccount(db), await givenAccount(db)]
  const url = 'http://busy.test/hook'
  await givenPrediction(db, busy, { url })
  await db.pool.query(
    `insert into deliveries
     select uuidv7(), account_id, uuidv7(), endpoint_id, url, host, event, seq, body_id, state, attempt, due_at, lease_until, created_at
     from deliveries, generate_series(1, 1000)`,
  )
  await givenPrediction(db, other, { url })
  const load = createLoad({ slots: 64, slotsPerAccount: 16, now: () => time })

  const { claimed } = await claimDue(db, {
    limit: 64,
    slotsPerAccount: 16,
    leaseSeconds: 60,
    saturation: load.saturation(),
    wide: true,
  })
  const of = (account: string) => claimed.filter(({ account_id }) => account_id === account).length
  expect([of(busy), of(other)]).toEqual([slotsPerHost, 1])
})

test("what a host that hangs holds does not count in its account's share, but for one host only", () => {
  const load = createLoad({ slots: 64, slotsPerAccount: 16, now: () => time })
  const send = (host: string) => void load.turn({ account_id: 'one', host } as ClaimedDelivery)
  const counted = () => load.saturation().accounts

  for (let count = 0; count < 8; count++) send('hangs.test')
  expect(counted()).toEqual([{ account: 'one', count: 8 }])
  time += 501
  expect(counted()).toEqual([{ account: 'one', count: 0 }])

  for (let count = 0; count < 8; count++) send('hangs-too.test')
  time += 501
  expect(counted()).toEqual([{ account: 'one', count: 8 }])
  expect(load.saturation().fullAccounts).toEqual([])

  for (let count = 0; count < 8; count++) send('answers.test')
  expect(load.saturation().fullAccounts).toEqual(['one'])
  expect(load.free()).toBe(40)
})

function silence(times: number): void {
  for (let count = 0; count < times; count++) breaker.report('a.test', false)
}
