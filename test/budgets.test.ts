import { newId } from '@millrace/database/ids'
import { removeBudget } from '@millrace/ledger/budgets'
import { moveCredits } from '@millrace/ledger/move-credits'
import { accept, type Draft } from '@millrace/lifecycle/accept'
import { begin } from '@millrace/lifecycle/begin'
import type { Fence } from '@millrace/lifecycle/claim'
import { settle } from '@millrace/lifecycle/settle'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { countsOf, endPeriod, givenBudget, givenRich, notedEvents, pricedDraft } from './given-budgets.ts'
import { claimed, draft, endings, lifecycleOn } from './given-predictions.ts'
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

const take = (drafts: Draft[]) => accept(lifecycleOn(db), drafts)

/** Claims and begins a prediction that was accepted. */
async function begun({ model }: Draft): Promise<Fence> {
  const fence = await claimed(db, model)
  await begin(lifecycleOn(db), [fence])
  return fence
}

/** Runs a prediction that was accepted to its end. */
async function end(made: Draft, how: 'succeeded' | 'failed' | 'cancelled' = 'succeeded', balanceWarning = 0) {
  const ending = endings(await begun(made))[how]
  if (ending) await settle({ ...lifecycleOn(db), balanceWarning }, [ending])
}

describe('a hard cap', () => {
  test('is what holds and charges of a period may come to, and no more', async () => {
    const budget = await givenBudget(db, account, { hardCap: 10 })
    const [first, second] = [pricedDraft(account, 6), pricedDraft(account, 4)]
    const over = { errorId: 'BUDGET_EXCEEDED', budgetId: budget }

    expect(await take([first])).toEqual([true])
    expect(await take([pricedDraft(account, 5)])).toEqual([{ ...over, available: 4 }])
    expect(await countsOf(db, budget)).toEqual({ held: 6, spent: 0 })
    expect(await take([second])).toEqual([true])
    await end(first)
    expect(await countsOf(db, budget)).toEqual({ held: 4, spent: 6 })
    expect(await take([pricedDraft(account, 1)])).toEqual([{ ...over, available: 0 }])

    await end(second, 'cancelled')
    expect(await countsOf(db, budget)).toEqual({ held: 0, spent: 6 })
    expect(await take([pricedDraft(account, 4)])).toEqual([true])
  })

  test('refuses nothing that is stored: no row, no hold, no key', async () => {
    await givenBudget(db, account, { hardCap: 10 })
    const idempotency = { key: 'once', fingerprint: Buffer.from('x'), statusCode: 201 }
    const refused = pricedDraft(account, 11, { idempotency })
    expect(await take([refused])).toEqual([expect.objectContaining({ errorId: 'BUDGET_EXCEEDED' })])
    expect(await db.kysely.selectFrom('predictions').select('id').execute()).toEqual([])
    expect(await db.kysely.selectFrom('idempotency_keys').select('key').execute()).toEqual([])
    expect(await moneyOf(db, account)).toMatchObject({ held: 0 })
  })

  test('of one batch refuses the dear and takes the cheap behind them', async () => {
    const budget = await givenBudget(db, account, { hardCap: 10 })
    const prices = [11, 4, 20, 3, 4, 3]
    const answers = await take(prices.map((price) => pricedDraft(account, price)))
    expect(answers.map((answer) => answer === true)).toEqual([false, true, false, true, false, true])
    expect(await countsOf(db, budget)).toEqual({ held: 10, spent: 0 })
  })

  test('counts what two with one idempotency key ask for once', async () => {
    const budget = await givenBudget(db, account, { hardCap: 10 })
    const idempotency = { key: 'once', fingerprint: Buffer.from('x'), statusCode: 201 }
    const twice = [0, 1].map(() => pricedDraft(account, 10, { idempotency }))
    expect(await take(twice)).toEqual([true, false])
    expect(await countsOf(db, budget)).toEqual({ held: 10, spent: 0 })
  })

  test('lets the second of one idempotency key hold nothing, also where the first is refused', async () => {
    const poor = await givenRich(db, 10)
    await givenBudget(db, poor, { of: { scope: 'tag', name: 'team', value: 'red' }, hardCap: 0 })
    const key = (given: string) => ({ key: 'once', fingerprint: Buffer.from(given), statusCode: 201 })
    const first = pricedDraft(poor, 1, { idempotency: key('a'), tags: { team: 'red' } })
    const second = pricedDraft(poor, 1_000, { idempotency: key('b') })
    expect(await take([first, second])).toEqual([
      expect.objectContaining({ errorId: 'BUDGET_EXCEEDED' }),
      false,
    ])
    expect(await moneyOf(db, poor)).toMatchObject({ balance: 10, held: 0 })
  })

  test('counts nothing twice when the same is accepted again, as after a lost answer', async () => {
    const budget = await givenBudget(db, account, { hardCap: 10 })
    const drafts = [pricedDraft(account, 6), pricedDraft(account, 4)]
    expect(await take(drafts)).toEqual([true, true])
    expect(await take(drafts)).toEqual([true, true])
    expect(await countsOf(db, budget)).toEqual({ held: 10, spent: 0 })
  })

  test('is exact however many ask at once: of 200 just those that fit', async () => {
    const budgets = [
      await givenBudget(db, account, { hardCap: 70 }),
      await givenBudget(db, account, { hardCap: 1_000 }),
    ]
    const ways = await Promise.all(
      Array.from({ length: 40 }, () => take(Array.from({ length: 5 }, () => pricedDraft(account, 3)))),
    )
    const accepted = ways.flat().filter((answer) => answer === true)
    expect(accepted).toHaveLength(23)
    for (const budget of budgets) expect(await countsOf(db, budget)).toEqual({ held: 69, spent: 0 })
    expect(await moneyOf(db, account)).toMatchObject({ held: 69 })
  })

  test('is free again in the next period, in which what was held in the last one does not count', async () => {
    const budget = await givenBudget(db, account, { hardCap: 10, period: 'day' })
    const old = pricedDraft(account, 8)
    await take([old])
    expect(await take([pricedDraft(account, 3)])).not.toEqual([true])

    await endPeriod(db, budget)
    await db.pool.query(
      `update runs set budgets = (select json_agg(json_build_object('id', id, 'since', period_start)) from budgets)`,
    )
    expect(await take([pricedDraft(account, 9)])).toEqual([true])
    expect(await countsOf(db, budget)).toEqual({ held: 9, spent: 0 })
    await end(old)
    expect(await countsOf(db, budget)).toEqual({ held: 9, spent: 0 })
  })

  test('of a total is never free again', async () => {
    const budget = await givenBudget(db, account, { hardCap: 10, period: 'total' })
    const made = pricedDraft(account, 10)
    await take([made])
    await end(made)
    await endPeriod(db, budget)
    expect(await take([pricedDraft(account, 1)])).toEqual([expect.objectContaining({ available: 0 })])
  })

  test('of nothing refuses all that costs something, and nothing that is free', async () => {
    await givenBudget(db, account, { hardCap: 0 })
    expect(await take([pricedDraft(account, 1), draft({ accountId: account })])).toEqual([
      expect.objectContaining({ errorId: 'BUDGET_EXCEEDED' }),
      true,
    ])
  })

  test('comes after the balance: who has no credits is told of those', async () => {
    const poor = await givenRich(db, 5)
    await givenBudget(db, poor, { hardCap: 1 })
    expect(await take([pricedDraft(poor, 6)])).toEqual([{ errorId: 'INSUFFICIENT_CREDITS', available: 5 }])
    expect(await take([pricedDraft(poor, 5)])).toEqual([
      expect.objectContaining({ errorId: 'BUDGET_EXCEEDED' }),
    ])
  })
})

describe('what a budget counts', () => {
  test('is of its own account, key or tag', async () => {
    const [key, other] = [newId(), newId()]
    const ofKey = await givenBudget(db, account, { of: { scope: 'key', keyIds: [key] }, hardCap: 10 })
    const ofTag = await givenBudget(db, account, {
      of: { scope: 'tag', name: 'team', value: 'red' },
      hardCap: 20,
    })
    const ofAll = await givenBudget(db, account, { hardCap: 1_000 })
    const strangers = await givenBudget(db, await givenRich(db), { hardCap: 0 })

    const answers = await take([
      pricedDraft(account, 9, { keyId: key }),
      pricedDraft(account, 9, { keyId: other, tags: { team: 'red' } }),
      pricedDraft(account, 9, { keyId: other, tags: { team: 'blue', red: 'team' } }),
      pricedDraft(account, 9, { keyId: key, tags: { team: 'red' } }),
      pricedDraft(account, 9),
    ])

    expect(answers).toEqual([
      true,
      true,
      true,
      expect.objectContaining({ budgetId: ofKey, available: 1 }),
      true,
    ])
    expect(await countsOf(db, ofKey)).toEqual({ held: 9, spent: 0 })
    expect(await countsOf(db, ofTag)).toEqual({ held: 9, spent: 0 })
    expect(await countsOf(db, ofAll)).toEqual({ held: 36, spent: 0 })
    expect(await countsOf(db, strangers)).toEqual({ held: 0, spent: 0 })
  })

  test('begins when it is made, and ends when it is removed', async () => {
    const before = pricedDraft(account, 5)
    await take([before])
    const budget = await givenBudget(db, account)
    const removed = await givenBudget(db, account, { hardCap: 5 })
    const made = pricedDraft(account, 5)
    await take([made])
    expect(await removeBudget(db.pool, account, removed)).toMatchObject({ id: removed })
    await end(before)
    await end(made)
    expect(await countsOf(db, budget)).toEqual({ held: 0, spent: 5 })
    expect(await take([pricedDraft(account, 6)])).toEqual([true])
  })

  test('is nothing of what is free', async () => {
    const budget = await givenBudget(db, account)
    const free = draft({ accountId: account })
    await take([free])
    expect(await db.kysely.selectFrom('runs').select('budgets').execute()).toEqual([{ budgets: null }])
    await end(free)
    expect(await countsOf(db, budget)).toEqual({ held: 0, spent: 0 })
  })
})

describe('thresholds', () => {
  const thresholds = [{ percent: 50 }, { credits: 0.00008 }]

  test('are each told once in a period, by what was spent', async () => {
    const budget = await givenBudget(db, account, { hardCap: 100, thresholds, period: 'day' })
    const drafts = Array.from({ length: 10 }, () => pricedDraft(account, 10))
    await take(drafts)
    expect(await notedEvents(db)).toEqual([])
    for (const one of drafts.slice(0, 4)) await end(one)
    expect(await notedEvents(db)).toEqual([])
    await Promise.all(drafts.slice(4).map((one) => end(one)))
    expect(await notedEvents(db)).toEqual(thresholds)

    await endPeriod(db, budget)
    const next = Array.from({ length: 6 }, () => pricedDraft(account, 10))
    await take(next)
    for (const one of next) await end(one)
    expect(await notedEvents(db)).toEqual([...thresholds, { percent: 50 }])
  })

  test('are told at once where one charge reaches several, also of several budgets', async () => {
    await givenBudget(db, account, { hardCap: 100, thresholds })
    await givenBudget(db, account, { thresholds: [{ credits: 0.0001 }] })
    const made = pricedDraft(account, 100)
    await take([made])
    await end(made)
    expect(await notedEvents(db)).toHaveLength(3)
  })

  test('are not reached by what was not charged', async () => {
    await givenBudget(db, account, { hardCap: 100, thresholds })
    const made = pricedDraft(account, 100)
    await take([made])
    await end(made, 'failed')
    expect(await notedEvents(db)).toEqual([])
  })

  test('refuse nothing', async () => {
    await givenBudget(db, account, { thresholds: [{ credits: 0.000001 }] })
    expect(await take([pricedDraft(account, 100), pricedDraft(account, 100)])).toEqual([true, true])
  })
})

describe('a low balance', () => {
  async function spend(accountId: string, micros: number) {
    const made = pricedDraft(accountId, micros)
    await take([made])
    await end(made, 'succeeded', 100)
  }

  test('is told when it is crossed, and again when it was above in between', async () => {
    const poor = await givenRich(db, 150)
    await spend(poor, 50)
    expect(await notedEvents(db)).toEqual([])
    await spend(poor, 1)
    expect(await notedEvents(db)).toEqual(['balance.low'])
    await spend(poor, 10)
    expect(await notedEvents(db)).toEqual(['balance.low'])
    await db.pool.query('update balances set balance = 100 where account_id = $1', [poor])
    await spend(poor, 100)
    expect(await notedEvents(db)).toEqual(['balance.low', 'balance.low'])
  })

  test('is told of what the operator takes, and of no credits that are given', async () => {
    const taken = await givenRich(db, 150)
    const move = (amount: number) =>
      moveCredits(db, { accountId: taken, amount, reason: 'for a test', balanceWarning: 100 })
    await move(-50)
    await move(10)
    expect(await notedEvents(db)).toEqual([])
    await move(-11)
    await move(1)
    expect(await notedEvents(db)).toEqual(['balance.low'])
  })

  test('is told once, however many charges cross it together', async () => {
    const poor = await givenRich(db, 150)
    const drafts = Array.from({ length: 30 }, () => pricedDraft(poor, 5))
    await take(drafts)
    await Promise.all(drafts.map((made) => end(made, 'succeeded', 100)))
    expect(await moneyOf(db, poor)).toMatchObject({ balance: 0, held: 0 })
    expect(await notedEvents(db)).toEqual(['balance.low'])
  })
})
