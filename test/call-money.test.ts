import { setTimeout as delay } from 'node:timers/promises'
import { newId } from '@millrace/database/ids'
import { type CallHold, holdCalls } from '@millrace/ledger/hold-calls'
import { releaseLostCalls } from '@millrace/ledger/release-lost-calls'
import { settleCalls } from '@millrace/ledger/settle-calls'
import { openTill, type Till } from '@millrace/ledger/till'
import { createLog } from '@millrace/process/log'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { givenFunds } from './given-credits.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { until } from './harness/wait.ts'
import { moneyOf } from './money-of.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.drop())

const always = { since: Number.NEGATIVE_INFINITY }

const holdOf = (accountId: string, amount: number): CallHold => ({ id: newId(), accountId, amount })
const settleOf = ({ id, accountId }: CallHold, charge: number) => ({ id, accountId, model: 'm', charge })

const givenAccount = (balance: number) => givenFunds(database.db, balance)

function givenTill(db = database.db): Till {
  const till = openTill({ db, log: createLog({ name: 'test', level: 'silent' }) })
  onTestFinished(() => till.close())
  return till
}

test('of two hundred calls at once in three processes as many are held for as there is money for', async () => {
  const account = await givenAccount(37 * 10 + 9)
  const tills = [givenTill(), givenTill(), givenTill()]

  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, at) => tills[at % 3]?.hold(holdOf(account, 10), 'm')),
  )

  expect(answers.filter((answer) => answer?.held)).toHaveLength(37)
  expect(await moneyOf(database.db, account)).toMatchObject({ balance: 379, held: 370, holds: 370 })
})

test('who asks for too much is no hindrance for those after him', async () => {
  const [one, other] = [await givenAccount(100), await givenAccount(5)]
  const holds = [
    holdOf(one, 60),
    holdOf(one, 60),
    holdOf(other, 6),
    holdOf(one, 40),
    holdOf(other, 5),
    holdOf(newId(), 1),
  ]

  const answers = await holdCalls(database.db, holds)

  expect(answers.map(({ held }) => held)).toEqual([true, false, false, true, true, false])
  expect(answers.map(({ balance }) => balance)).toEqual([100, 100, 5, 100, 5, 0])
})

test('a hold that is asked for again is held once', async () => {
  const account = await givenAccount(100)
  const holds = [holdOf(account, 60), holdOf(account, 30)]
  await holdCalls(database.db, holds)

  const again = await Promise.all([holdCalls(database.db, holds), holdCalls(database.db, holds)])

  expect(again.flat().map(({ held }) => held)).toEqual([true, true, true, true])
  expect(await moneyOf(database.db, account)).toMatchObject({ balance: 100, held: 90, holds: 90 })
})

test('who asks again while his first try is under way is not refused for what that took', async () => {
  const account = await givenAccount(100)
  const hold = holdOf(account, 60)

  const tries = await whileLocked(account, [
    () => holdCalls(database.db, [hold]),
    () => holdCalls(database.db, [hold]),
  ])

  expect(tries.flat().map(({ held }) => held)).toEqual([true, true])
  expect(await moneyOf(database.db, account)).toMatchObject({ held: 60, holds: 60 })
})

test('a hold that is given back while it is asked for again is held anew', async () => {
  const account = await givenAccount(100)
  const hold = holdOf(account, 60)
  await holdCalls(database.db, [hold])

  const [, again] = await whileLocked(account, [
    () => settleCalls(database.db, [settleOf(hold, 0)]),
    () => holdCalls(database.db, [hold]),
  ])

  expect(again).toEqual([{ held: true, balance: 100 }])
  expect(await moneyOf(database.db, account)).toMatchObject({ held: 60, holds: 60 })
})

test('a call that another process took over keeps what is held for it when the first one gives up', async () => {
  const account = await givenAccount(100)
  const [first, second] = [givenTill(), givenTill()]
  const hold = holdOf(account, 60)
  await first.hold(hold, 'm')
  await second.hold(hold, 'm')

  first.settle(settleOf(hold, 0))
  await first.close()

  expect(await moneyOf(database.db, account)).toMatchObject({ held: 60, holds: 60 })
  second.settle(settleOf(hold, 0))
  await second.close()
  expect(await moneyOf(database.db, account)).toMatchObject({ balance: 100, held: 0, holds: 0 })
})

test('a hold that is asked for again is alive from then on', async () => {
  const account = await givenAccount(100)
  const hold = holdOf(account, 60)
  await holdCalls(database.db, [hold])
  await database.db.pool.query(
    `update call_holds set alive_at = alive_at - interval '61 seconds' where id = $1`,
    [hold.id],
  )

  await holdCalls(database.db, [hold])

  expect(await releaseLostCalls(database.db, always)).toBe(0)
  expect(await moneyOf(database.db, account)).toMatchObject({ held: 60, holds: 60 })
})

test('a call that is tried again after a lost answer keeps what is held for it', async () => {
  const account = await givenAccount(100)
  const cut = { is: true, times: 0 }
  const till = givenTill(
    databaseWhere(
      async (_, query) => {
        const result = await query()
        if (!cut.is) return result
        cut.times++
        throw new Error('the answer was lost')
      },
      'hold-calls',
      'settle-calls',
    ),
  )
  const hold = holdOf(account, 50)
  await expect(till.hold(hold, 'm')).rejects.toThrow('lost')
  await until(() => cut.times === 2, { what: 'it to be given back, as far as is known in vain' })
  cut.is = false

  expect(await till.hold(hold, 'm')).toMatchObject({ held: true })

  await delay(1_000)
  expect(await moneyOf(database.db, account)).toMatchObject({ held: 50, holds: 50 })
  till.settle(settleOf(hold, 20))
  await till.close()
  expect(await moneyOf(database.db, account)).toMatchObject({ balance: 80, held: 0, charges: 1 })
})

test('calls are told of as alive when no charge of their process is under way', async () => {
  const account = await givenAccount(100)
  const gate = Promise.withResolvers<void>()
  const seen: string[] = []
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
  const till = givenTill(
    databaseWhere(
      async (name, query) => {
        seen.push(name)
        if (name === 'settle-calls') await gate.promise
        return query()
      },
      'settle-calls',
      'calls-alive',
    ),
  )
  const [over, open] = [holdOf(account, 10), holdOf(account, 10)]
  await Promise.all([till.hold(over, 'm'), till.hold(open, 'm')])
  till.settle(settleOf(over, 10))
  await until(() => seen.length === 1, { what: 'the charge to be under way' })

  vi.advanceTimersByTime(20_000)

  await delay(50)
  expect(seen).toEqual(['settle-calls'])
  gate.resolve()
  await until(() => seen.includes('calls-alive'), { what: 'the calls to be told of' })
})

test('a call is charged once, whoever says it again, and may cost more than was held', async () => {
  const account = await givenAccount(100)
  const [within, beyond, free] = [holdOf(account, 30), holdOf(account, 40), holdOf(account, 30)]
  await holdCalls(database.db, [within, beyond, free])
  const settles = [settleOf(within, 20), settleOf(beyond, 100), settleOf(free, 0)]

  const told = await settleCalls(database.db, settles)
  const again = await Promise.all([settleCalls(database.db, settles), settleCalls(database.db, settles)])

  expect([told, ...again]).toEqual(Array(3).fill([{ accountId: account, balance: -20 }]))
  expect(await moneyOf(database.db, account)).toEqual({
    balance: -20,
    held: 0,
    holds: 0,
    entries: -20,
    charges: 2,
  })
})

test('a charge whose answer was lost is booked once', async () => {
  const account = await givenAccount(100)
  const cut = { left: 2 }
  const pool = Object.create(database.db.pool, { query: { value: queryCut } })
  async function queryCut(statement: { name?: string }) {
    const result = await database.db.pool.query(statement as never)
    if (statement.name === 'settle-calls' && cut.left-- > 0) {
      throw Object.assign(new Error('Connection terminated unexpectedly'), { code: 'ECONNRESET' })
    }
    return result
  }
  const till = givenTill({ ...database.db, pool })
  const hold = holdOf(account, 50)
  await till.hold(hold, 'm')

  till.settle(settleOf(hold, 20))

  await until(() => cut.left < 0, { what: 'the charge to be tried again' })
  await till.close()
  expect(await moneyOf(database.db, account)).toEqual({
    balance: 80,
    held: 0,
    holds: 0,
    entries: 80,
    charges: 1,
  })
})

test('charges wait for a database that is away, and what is left is told all the same', async () => {
  const account = await givenAccount(100)
  const away = { is: false }
  const pool = Object.create(database.db.pool, { query: { value: queryUnlessAway } })
  async function queryUnlessAway(statement: never) {
    if (away.is) throw Object.assign(new Error('gone'), { code: 'ECONNREFUSED' })
    return database.db.pool.query(statement)
  }
  const till = givenTill({ ...database.db, pool })
  const hold = holdOf(account, 50)
  await till.hold(hold, 'm')
  away.is = true
  till.settle(settleOf(hold, 20))

  expect(await till.freshBalanceOf(account)).toBe(80)
  expect(await moneyOf(database.db, account)).toMatchObject({ balance: 100, held: 50 })

  away.is = false
  await until(async () => (await moneyOf(database.db, account)).held === 0, {
    what: 'the charge to be booked',
  })
  expect(await till.freshBalanceOf(account)).toBe(80)
})

test('what is held for calls whose process went away is given back, and not what is alive', async () => {
  const account = await givenAccount(100)
  const [lost, alive] = [holdOf(account, 30), holdOf(account, 40)]
  await holdCalls(database.db, [lost, alive])
  const age = (ids: string[]) =>
    database.db.pool.query(
      `update call_holds set alive_at = alive_at - interval '61 seconds' where id = any($1)`,
      [ids],
    )
  await age([lost.id])
  const recently = { since: Date.now() / 1000 - 30 }

  expect(await releaseLostCalls(database.db, recently)).toBe(0)
  expect(await releaseLostCalls(database.db, always)).toBe(1)
  expect(await releaseLostCalls(database.db, always)).toBe(0)
  expect(await moneyOf(database.db, account)).toMatchObject({ balance: 100, held: 40, holds: 40 })

  // Its process is back.
  await settleCalls(database.db, [settleOf(lost, 25)])
  expect(await moneyOf(database.db, account)).toMatchObject({ balance: 75, held: 40, entries: 75 })
})

test('calls that are held, charged, repeated and lost in any order leave the books in order', async () => {
  const accounts = await Promise.all([1_000, 500, 50].map(givenAccount))
  const till = givenTill()
  await Promise.all(
    Array.from({ length: 300 }, async (_, at) => {
      const hold = holdOf(accounts[at % 3] ?? '', 1 + (at % 17))
      const { held } = await till.hold(hold, 'm')
      if (!held) return
      const charge = (at * 7) % 23
      if (at % 11 === 0)
        await database.db.pool.query(`update call_holds set alive_at = '2000-01-01' where id = $1`, [hold.id])
      if (at % 13 === 0) await releaseLostCalls(database.db, always)
      till.settle(settleOf(hold, charge))
      if (at % 5 === 0) await settleCalls(database.db, [settleOf(hold, charge)])
    }),
  )
  await till.close()

  for (const account of accounts) {
    const { balance, entries, held, holds } = await moneyOf(database.db, account)
    expect([balance, held, holds]).toEqual([entries, 0, 0])
  }
})

/** What is begun while another has an account's balance, each once the one before it waits, and goes on when that is let go. */
async function whileLocked<const T extends readonly (() => Promise<unknown>)[]>(
  account: string,
  begins: T,
): Promise<{ -readonly [At in keyof T]: Awaited<ReturnType<T[At]>> }> {
  const client = await database.db.pool.connect()
  try {
    await client.query('begin')
    await client.query('select from balances where account_id = $1 for update', [account])
    const begun: Promise<unknown>[] = []
    for (const begin of begins) {
      begun.push(begin())
      await until(async () => (await waitingForLocks()) === begun.length, { what: 'it to wait' })
    }
    await client.query('commit')
    return (await Promise.all(begun)) as { -readonly [At in keyof T]: Awaited<ReturnType<T[At]>> }
  } finally {
    client.release()
  }
}

async function waitingForLocks(): Promise<number> {
  const { rows } = await database.db.pool.query<{ count: number }>(
    `select count(*)::integer as count from pg_stat_activity
     where datname = current_database() and wait_event_type = 'Lock'`,
  )
  return rows[0]?.count ?? 0
}

/** A database between which and its caller something stands for the statements of these names. */
function databaseWhere(
  stands: (name: string, query: () => Promise<unknown>) => Promise<unknown>,
  ...names: string[]
): FreshDatabase['db'] {
  const query = (statement: { name?: string }) => {
    const run = (): Promise<unknown> => database.db.pool.query(statement as never) as never
    return statement.name && names.includes(statement.name) ? stands(statement.name, run) : run()
  }
  return { ...database.db, pool: Object.create(database.db.pool, { query: { value: query } }) }
}
