import type { Priority } from '@millrace/contract/priorities'
import { connect, type Database, plannedOnce } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { accept } from '@millrace/lifecycle/accept'
import { claimWithin } from '@millrace/lifecycle/claim'
import { newRotation, type Rotation } from '@millrace/lifecycle/pick'
import { newRound, share } from '@millrace/lifecycle/rotation'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { givenOnPlan } from './given-limits.ts'
import { draft, lifecycleOn } from './given-predictions.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.drop())

test.each(['before', 'after'])(
  'an account with ten waiting has every other turn beside one that came %s it with ten thousand',
  async (when) => {
    const model = newId()
    const [large, small] = [newId(), newId()]
    const given = { [large]: 10_000, [small]: 10 }
    for (const account of when === 'before' ? [large, small] : [small, large]) {
      await givenWaiting(model, account, given[account] ?? 0)
    }

    const turns = await takeTurns(model, 40)

    const own = turns.flatMap((account, turn) => (account === small ? [turn + 1] : []))
    expect(own).toHaveLength(10)
    const waits = own.map((turn, n) => turn - (own[n - 1] ?? 0)).sort((a, b) => a - b)
    expect(waits[Math.ceil(0.95 * waits.length) - 1]).toBeLessThanOrEqual(2)
    expect(turns.slice(20)).toEqual(Array(20).fill(large))
  },
)

// One slot: a claim is made when the run before it ends, so a turn is a service time, however long that is by a clock.
test('beside an account with ten thousand waiting, whoever asks now and then waits for two service times at most at the 95th percentile', async () => {
  const model = newId()
  const [large, small] = [newId(), newId()]
  await givenWaiting(model, large, 10_000)
  const rotation = newRotation()

  const waits: number[] = []
  for (let n = 0; n < 60; n++) {
    // At any moment of the round, the one before done or not.
    await takeTurns(model, n % 4, { rotation })
    await givenWaiting(model, small, 1)
    // What runs when it asks has all of its service time ahead of it, at worst.
    let wait = 1
    for (let [turn] = await takeTurns(model, 1, { rotation }); turn !== small; wait++) {
      expect(turn).toBe(large)
      ;[turn] = await takeTurns(model, 1, { rotation })
    }
    waits.push(wait)
  }

  const p95 = waits.toSorted((a, b) => a - b)[Math.ceil(0.95 * waits.length) - 1]
  expect(p95).toBeLessThanOrEqual(2)
})

test.each([1, 2, 3, 16])('weights of 3 and 1 share the turns 3 to 1, %i at a time', async (atOnce) => {
  const model = newId()
  const heavy = await givenOnPlan(database.db, { weight: 3 })
  const light = await givenOnPlan(database.db, { weight: 1 })
  for (const account of [heavy, light]) await givenWaiting(model, account, 500)

  const turns = await takeTurns(model, 320, { atOnce })

  expectShare(turns, heavy, 3 / 4)
  expectShare(turns, light, 1 / 4)
})

test('weights that are no whole numbers, and workers that know nothing of each other, share as they should', async () => {
  const model = newId()
  const weights = [2.5, 1, 0.5]
  const accounts: string[] = []
  for (const weight of weights) accounts.push(await givenOnPlan(database.db, { weight }))
  for (const account of accounts) await givenWaiting(model, account, 900)
  const workers = Array.from({ length: 4 }, (_, n) => newRotation(n % 2 === 0 ? newId() : undefined))

  const turns: string[] = []
  for (let n = 0; n < 800; n++) {
    const rotation = workers[Math.floor(Math.random() * workers.length)]
    turns.push(...(await takeTurns(model, 1, rotation && { rotation })))
  }

  for (const [n, account] of accounts.entries()) expectShare(turns, account, (weights[n] ?? 0) / 4)
})

test('who comes later is served within one round, and does not make up for what it never asked for', async () => {
  const model = newId()
  const [first, second, third] = [newId(), newId(), newId()]
  const rotation = newRotation()
  for (const account of [first, third]) await givenWaiting(model, account, 100)
  await takeTurns(model, 31, { rotation })

  await givenWaiting(model, second, 100)
  const turns = await takeTurns(model, 30, { rotation })

  expect(turns.indexOf(second)).toBeLessThan(3)
  for (const account of [first, second, third])
    expect(turns.filter((one) => one === account)).toHaveLength(10)
})

test('of many accounts each has its turn before any has a second one', async () => {
  const model = newId()
  const accounts = Array.from({ length: 60 }, newId)
  for (const account of accounts) await givenWaiting(model, account, 3)

  const turns = await takeTurns(model, 180, { atOnce: 6 })

  for (const round of [0, 1, 2]) {
    expect(turns.slice(60 * round, 60 * round + 60).toSorted()).toEqual(accounts.toSorted())
  }
})

test('an account whose turns are more than it has waiting leaves them to the others: no claim is short', async () => {
  const model = newId()
  const [large, small] = [newId(), newId()]
  await givenWaiting(model, large, 30)
  await givenWaiting(model, small, 2)
  await givenWaiting(model, small, 1, 'low')

  const claimed = await claimOnce(model, { atOnce: 16 })

  expect(claimed.claims).toHaveLength(16)
  const own = claimed.claims.filter(({ row }) => row.account_id === small)
  expect(own.length).toBeGreaterThanOrEqual(2)
})

test('within each priority the accounts take turns, and within an account the first one in is the first one out', async () => {
  const model = newId()
  const [one, other] = [newId(), newId()]
  const ids = new Map<string, string[]>()
  for (const account of [one, other]) {
    for (const priority of ['high', 'normal', 'low'] as const) {
      ids.set(`${account} ${priority}`, await givenWaiting(model, account, 100, priority))
    }
  }

  const taken: { account: string; priority: string; id: string }[] = []
  const rotation = newRotation()
  for (let n = 0; n < 200; n++) {
    const draw = ((n * 7) % 20) / 20 + 0.01
    const { claims } = await claimOnce(model, { rotation, draw })
    taken.push(
      ...claims.map(({ id, row }) => ({ id, account: row.account_id, priority: row.priority as string })),
    )
  }

  for (const [priority, turns] of [
    ['high', 120],
    ['normal', 60],
    ['low', 20],
  ] as const) {
    for (const account of [one, other]) {
      const own = taken.filter((run) => run.priority === priority && run.account === account)
      expect([priority, own.length]).toEqual([priority, turns / 2])
      expect(own.map(({ id }) => id)).toEqual(ids.get(`${account} ${priority}`)?.slice(0, own.length))
    }
  }
})

test('many workers that claim at once take each run once, and leave none', async () => {
  const model = newId()
  const given: string[] = []
  for (let n = 0; n < 20; n++) given.push(...(await givenWaiting(model, newId(), 6)))

  const taken = (
    await Promise.all(
      Array.from({ length: 12 }, async () => {
        const rotation = newRotation()
        const ids: string[] = []
        for (let more = true; more; ) {
          const claimed = await claimOnce(model, { rotation, atOnce: 4 })
          ids.push(...claimed.claims.map(({ id }) => id))
          more = claimed.claims.length === 4 || claimed.more
        }
        return ids
      }),
    )
  ).flat()

  expect(taken.toSorted()).toEqual(given.toSorted())
})

test('a claim reads as much with ten thousand waiting as with ten, and with a thousand accounts as with ten', async () => {
  const { pool } = database.db
  const [few, long, wide] = [newId(), newId(), newId()]
  const fill = (model: string, accounts: number, each: number) =>
    pool.query(
      `insert into runs (prediction_id, account_id, model, pool, run_at, start_by)
       select gen_random_uuid(), a.id, $1, 'default', clock_timestamp(), clock_timestamp() + interval '1 day'
       from (select gen_random_uuid() as id from generate_series(1, $2)) a, generate_series(1, $3)`,
      [model, accounts, each],
    )
  await fill(few, 10, 10)
  await fill(long, 10, 10_000 / 10)
  await fill(wide, 1_000, 10)
  await pool.query('vacuum analyze runs')
  const db = connect({ url: database.url, max: 1, name: 'millrace-test', settings: plannedOnce })

  const read: number[] = []
  for (const model of [few, long, wide]) {
    const before = await entriesRead(db)
    await claimOnce(model, { atOnce: 4, on: db })
    read.push((await entriesRead(db)) - before)
  }
  await db.close()

  expect(read[0]).toBeLessThan(40)
  for (const one of read) expect(Math.abs(one - (read[0] ?? 0))).toBeLessThanOrEqual(2)
})

test('turns are shared by weight however many are taken at a time, and whoever has little leaves the rest', () => {
  const lines = [1, 4, 2].map((weight, n) => ({ account: `${n}`, turn: n, weight }))
  for (const atOnce of [1, 2, 5, 7, 50]) {
    let round = newRound()
    const counts = [0, 0, 0]
    for (let taken = 0; taken < 700; taken += atOnce) {
      const shared = share(lines, atOnce, { round, draw: () => 0 })
      for (const [line, count] of shared.given)
        counts[Number(line.account)] = (counts[Number(line.account)] ?? 0) + count
      round = shared.round
    }
    const total = counts.reduce((sum, count) => sum + count, 0)
    for (const [n, count] of counts.entries())
      expect(count / total).toBeCloseTo((lines[n]?.weight ?? 0) / 7, 1)
  }
  const room = ({ account }: { account: string }, given: ReadonlyMap<{ account: string }, number>) =>
    account === '1' ? 3 - ([...given].find(([line]) => line.account === '1')?.[1] ?? 0) : 1_000
  const shared = share(lines, 30, { round: newRound(), room })
  expect([...shared.given.values()].reduce((sum, count) => sum + count, 0)).toBe(30)
  expect(shared.given.get(lines[1] ?? never())).toBe(3)
  expect(share([], 5, { round: newRound() })).toMatchObject({ spare: 5 })
})

function never(): never {
  throw new Error('there is no such line')
}

function expectShare(turns: string[], account: string, expected: number): void {
  const actual = turns.filter((one) => one === account).length / turns.length
  expect(actual).toBeGreaterThan(expected * 0.9)
  expect(actual).toBeLessThan(expected * 1.1)
}

async function givenWaiting(
  model: string,
  accountId: string,
  count: number,
  priority: Priority = 'normal',
): Promise<string[]> {
  const drafts = Array.from({ length: count }, () => draft({ model, accountId, priority }))
  for (let from = 0; from < drafts.length; from += 1_000) {
    await accept(lifecycleOn(database.db), drafts.slice(from, from + 1_000))
  }
  return drafts.map(({ id }) => id)
}

/** So many turns, one after the other, as one worker takes them. Answers whose they were. */
async function takeTurns(model: string, count: number, taking: Taking = {}): Promise<string[]> {
  const { rotation = newRotation(), atOnce = 1 } = taking
  const turns: string[] = []
  while (turns.length < count) {
    const { claims } = await claimOnce(model, {
      ...taking,
      rotation,
      atOnce: Math.min(atOnce, count - turns.length),
    })
    if (claims.length === 0) break
    turns.push(...claims.map(({ row }) => row.account_id))
  }
  return turns
}

function claimOnce(model: string, { rotation, atOnce = 1, draw, on = database.db }: Taking = {}) {
  return claimWithin(lifecycleOn(on), {
    model,
    limit: atOnce,
    worker: 'a-worker',
    leaseSeconds: 600,
    ...(rotation && { rotation }),
    ...(draw === undefined ? {} : { draw }),
  })
}

/** Entries of the line's index that this one connection has read so far. */
async function entriesRead({ pool }: Database): Promise<number> {
  await pool.query('select pg_stat_force_next_flush()')
  const { rows } = await pool.query<{ read: number }>(
    `select pg_stat_get_tuples_returned('runs_line'::regclass)::float8 as read`,
  )
  return rows[0]?.read ?? 0
}

interface Taking {
  rotation?: Rotation
  atOnce?: number
  draw?: number
  on?: Database
}
