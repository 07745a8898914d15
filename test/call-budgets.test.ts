import { newId } from '@millrace/database/ids'
import { postNotedEvents } from '@millrace/dispatcher/sweep/post-account-events'
import { type CallHold, holdCalls } from '@millrace/ledger/hold-calls'
import { releaseLostCalls } from '@millrace/ledger/release-lost-calls'
import { type CallSettle, settleCalls } from '@millrace/ledger/settle-calls'
import { accept } from '@millrace/lifecycle/accept'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { countsOf, endPeriod, givenBudget, givenRich, notedEvents, pricedDraft } from './given-budgets.ts'
import { lifecycleOn } from './given-predictions.ts'
import { givenEndpoint } from './given-webhooks.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { moneyOf } from './money-of.ts'

let database: FreshDatabase
let db: FreshDatabase['db']
let account: string
beforeEach(async () => {
  database = await freshDatabase()
  db = database.db
  account = await givenRich(db)
})
afterEach(() => database.drop())

const call = (amount: number, given: Partial<CallHold> = {}): CallHold => ({
  id: newId(),
  accountId: account,
  amount,
  ...given,
})
const ended = ({ id, accountId, keyId }: CallHold, charge: number): CallSettle => ({
  id,
  accountId,
  keyId,
  model: 'parrot',
  charge,
})

test('a call counts in the budgets of its account and key, from its hold to its charge', async () => {
  const keyId = newId()
  const ofAll = await givenBudget(db, account, { hardCap: 10 })
  const ofKey = await givenBudget(db, account, { hardCap: 7, of: { scope: 'key', keyIds: [keyId] } })
  const ofTag = await givenBudget(db, account, { hardCap: 0, of: { scope: 'tag', name: 'a', value: 'b' } })
  const held = call(6, { keyId })

  expect(await holdCalls(db, [held])).toEqual([expect.objectContaining({ held: true })])
  expect(await holdCalls(db, [call(2, { keyId })])).toEqual([
    expect.objectContaining({ held: false, budget: { id: ofKey, room: 1 } }),
  ])
  expect(await holdCalls(db, [call(5)])).toEqual([
    expect.objectContaining({ held: false, budget: { id: ofAll, room: 4 } }),
  ])
  await settleCalls(db, [ended(held, 3)])
  for (const budget of [ofAll, ofKey]) expect(await countsOf(db, budget)).toEqual({ held: 0, spent: 3 })
  expect(await countsOf(db, ofTag)).toEqual({ held: 0, spent: 0 })
  expect(await holdCalls(db, [call(4, { keyId })])).toEqual([expect.objectContaining({ held: true })])
})

test('of a batch of calls the dear are refused, and the cheap behind them are not', async () => {
  const budget = await givenBudget(db, account, { hardCap: 10 })
  const answers = await holdCalls(
    db,
    [11, 4, 20, 3, 4, 3].map((amount) => call(amount)),
  )
  expect(answers.map(({ held }) => held)).toEqual([false, true, false, true, false, true])
  expect(await countsOf(db, budget)).toEqual({ held: 10, spent: 0 })
})

test('what is held and charged again, as after a lost answer, counts once', async () => {
  const budget = await givenBudget(db, account, { hardCap: 10, thresholds: [{ percent: 100 }] })
  const holds = [call(6), call(4)]
  for (const _ of [1, 2]) expect((await holdCalls(db, holds)).map(({ held }) => held)).toEqual([true, true])
  expect(await countsOf(db, budget)).toEqual({ held: 10, spent: 0 })
  const settles = holds.map((hold) => ended(hold, 5))
  await Promise.all([settleCalls(db, settles), settleCalls(db, settles)])
  expect(await countsOf(db, budget)).toEqual({ held: 0, spent: 10 })
  expect(await notedEvents(db)).toEqual([{ percent: 100 }])
})

test('a call may cost more than was held: the budget says so, and refuses the next one', async () => {
  const budget = await givenBudget(db, account, { hardCap: 10 })
  const held = call(10)
  await holdCalls(db, [held])
  await settleCalls(db, [ended(held, 14)])
  expect(await countsOf(db, budget)).toEqual({ held: 0, spent: 14 })
  expect(await holdCalls(db, [call(1)])).toEqual([
    expect.objectContaining({ held: false, budget: { id: budget, room: -4 } }),
  ])
})

test('what was held for a call whose process went is free again', async () => {
  const budget = await givenBudget(db, account, { hardCap: 10 })
  await holdCalls(db, [call(10)])
  await db.pool.query(`update call_holds set alive_at = alive_at - interval '2 minutes'`)
  await releaseLostCalls(db, { since: 0 })
  expect(await countsOf(db, budget)).toEqual({ held: 0, spent: 0 })
})

test('a call whose hold was given back under it counts in the budgets of its account and key all the same', async () => {
  const keyId = newId()
  const ofAll = await givenBudget(db, account, { hardCap: 10, thresholds: [{ percent: 50 }] })
  const ofKey = await givenBudget(db, account, { of: { scope: 'key', keyIds: [keyId] } })
  const ofOther = await givenBudget(db, account, { of: { scope: 'key', keyIds: [newId()] } })
  const [lost, kept] = [call(6, { keyId }), call(2, { keyId })]
  await holdCalls(db, [lost, kept])
  await settleCalls(db, [ended(lost, 0)])

  for (const _ of [1, 2]) await settleCalls(db, [ended(lost, 5), ended(kept, 1)])

  for (const budget of [ofAll, ofKey]) expect(await countsOf(db, budget)).toEqual({ held: 0, spent: 6 })
  expect(await countsOf(db, ofOther)).toEqual({ held: 0, spent: 0 })
  expect(await notedEvents(db)).toEqual([{ percent: 50 }])
})

test('a threshold that is reached in a period which is over is told as of that period', async () => {
  const budget = await givenBudget(db, account, { period: 'day', thresholds: [{ credits: 0.000005 }] })
  await givenEndpoint(db, account, 'https://example.com/', {}, { events: ['budget.threshold'] })
  const held = call(5)
  await holdCalls(db, [held])
  await endPeriod(db, budget)
  await db.pool.query(
    `update call_holds set budgets = (select json_agg(json_build_object('id', id, 'since', period_start)) from budgets)`,
  )
  await settleCalls(db, [ended(held, 5)])

  await postNotedEvents(db, () => {})

  const { body } = await db.kysely.selectFrom('webhook_bodies').select('body').executeTakeFirstOrThrow()
  const row = await db.kysely.selectFrom('budgets').select('period_start').executeTakeFirstOrThrow()
  expect(JSON.parse(String(body))).toMatchObject({
    data: { spent: 0.000005, period_start: row.period_start.toISOString() },
  })
})

test('a call that ends in the next period counts in the one in which it began', async () => {
  const budget = await givenBudget(db, account, { hardCap: 10, period: 'day' })
  const held = call(10)
  await holdCalls(db, [held])
  await endPeriod(db, budget)
  await db.pool.query(
    `update call_holds set budgets = (select json_agg(json_build_object('id', id, 'since', period_start)) from budgets)`,
  )
  expect(await holdCalls(db, [call(9)])).toEqual([expect.objectContaining({ held: true })])
  await settleCalls(db, [ended(held, 10)])
  expect(await countsOf(db, budget)).toEqual({ held: 9, spent: 0 })
})

test('calls and predictions share a budget exactly, however many ask at once', async () => {
  const budget = await givenBudget(db, account, { hardCap: 100 })
  const calls = Array.from({ length: 30 }, () => holdCalls(db, [call(3), call(3)]))
  const creates = Array.from({ length: 30 }, () =>
    accept(lifecycleOn(db), [pricedDraft(account, 3), pricedDraft(account, 3)]),
  )
  const held = (await Promise.all(calls)).flat().filter((answer) => answer.held)
  const accepted = (await Promise.all(creates)).flat().filter((answer) => answer === true)
  expect(held.length + accepted.length).toBe(33)
  expect(await countsOf(db, budget)).toEqual({ held: 99, spent: 0 })
  expect(await moneyOf(db, account)).toMatchObject({ held: 99, holds: 3 * held.length })
})

test('a charge of a call that takes the balance below the warning is told once', async () => {
  const poor = await givenRich(db, 150)
  const holds = Array.from({ length: 10 }, () => call(10, { accountId: poor }))
  await holdCalls(db, holds)
  await Promise.all(holds.map((hold) => settleCalls(db, [ended(hold, 10)], 100)))
  expect(await notedEvents(db)).toEqual(['balance.low'])
})
