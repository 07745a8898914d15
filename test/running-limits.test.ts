import { setTimeout as delay } from 'node:timers/promises'
import { matchesGlob } from '@millrace/contract/model-rules'
import type { Limits } from '@millrace/contract/plan'
import { connect, plannedOnce } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { ringLost } from '@millrace/dispatcher/sweep/ring-lost'
import { accept, type Draft } from '@millrace/lifecycle/accept'
import { limitsOf } from '@millrace/lifecycle/caps'
import { type Claim, claimWithin } from '@millrace/lifecycle/claim'
import { findPrediction } from '@millrace/lifecycle/find'
import { endOverdue } from '@millrace/lifecycle/overdue'
import { newRotation } from '@millrace/lifecycle/pick'
import { handBack, releaseWorker } from '@millrace/lifecycle/release'
import { settle } from '@millrace/lifecycle/settle'
import { findFreed, findWaiting } from '@millrace/lifecycle/waiting'
import { announceWorker } from '@millrace/lifecycle/workers'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { givenLimitedKey, givenOnPlan } from './given-limits.ts'
import { draft, lifecycleOn } from './given-predictions.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { until } from './harness/wait.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.drop())

test('twenty workers that claim at once have no more of an account under way than its plan allows', async () => {
  const account = await givenAccount({ running: 3 })
  const other = await givenAccount({})
  const models = [newId(), newId()]
  for (const model of models) {
    await givenWaiting(model, account, 30)
    await givenWaiting(model, other, 5)
  }

  const claims = (
    await Promise.all(
      Array.from({ length: 20 }, (_, n) => take(models[n % 2] ?? '', 4, { worker: `worker ${n}` })),
    )
  ).flat()

  expect(claims.filter(({ row }) => row.account_id === account)).toHaveLength(3)
  for (const model of models) claims.push(...(await take(model, 10)))
  expect(claims.filter(({ row }) => row.account_id === other)).toHaveLength(10)
  expect(await underWay(account)).toBe(3)
})

test('a claim within limits reads what waits from the front of its line, not all of it', async () => {
  // Of its own: what other tests read is counted as well, and later.
  const own = await freshDatabase()
  // As a worker does: one plan for whatever is there.
  const db = connect({ url: own.url, max: 1, name: 'planned once', settings: plannedOnce })
  const accountId = await givenOnPlan(db, { limits: { running: 1_000, models: { '*': { running: 1_000 } } } })
  const drafts = Array.from({ length: 30 }, () => draft({ model: 'limited', accountId }))
  await accept(lifecycleOn(db), drafts)
  const scanned = async () => {
    await db.pool.query('select pg_stat_force_next_flush()')
    const { rows } = await db.pool.query(`select seq_scan from pg_stat_user_tables where relname = 'runs'`)
    return rows[0].seq_scan
  }
  const before = await scanned()

  for (let nth = 0; nth < 3; nth++) {
    const request = { model: 'limited', limit: 5, worker: 'a-worker', leaseSeconds: 600 }
    expect((await claimWithin(lifecycleOn(db), request)).claims).toHaveLength(5)
  }

  expect(await scanned()).toBe(before)
  await db.close()
  await own.drop()
})

test('whatever ends, is given back or loses its worker, no more than allowed are under way, and all come to their end', async () => {
  const limits = { running: 4, models: { 'busy-*': { running: 2 } } }
  const account = await givenAccount(limits)
  const models = [`busy-${newId()}`, `busy-${newId()}`, newId()]
  const ids: string[] = []
  for (const model of models) ids.push(...(await givenWaiting(model, account, 25)))
  let most = 0
  let watching = true
  const watched = (async () => {
    while (watching) most = Math.max(most, await underWay(account))
  })()

  const workers = Array.from({ length: 6 }, async (_, n) => {
    const worker = `fickle ${newId()}`
    const rotation = newRotation()
    for (let turn = 0; (await unfinished(account)) > 0; turn++) {
      const model = models[(n + turn) % 3] ?? ''
      const claims = await take(model, 3, { worker, rotation })
      await delay(Math.random() * 4)
      // As kill -9 is seen by its supervisor; crashes must not end them here.
      if (claims.length > 0 && Math.random() < 0.2) {
        await releaseWorker(database.db, worker)
        await database.db.pool.query('update runs set crashes = 0 where account_id = $1', [account])
      } else if (Math.random() < 0.2) await handBack(database.db, worker, claims)
      else await endAll(claims)
    }
  })
  await Promise.all(workers)
  watching = false
  await watched

  expect(most).toBeLessThanOrEqual(4)
  expect(most).toBeGreaterThan(2)
  const { rows } = await database.db.pool.query(
    `select count(*)::integer as count from predictions where account_id = $1 and status = 'failed'`,
    [account],
  )
  expect(rows).toEqual([{ count: ids.length }])
}, 60_000)

test('a limit of models that a pattern names is one of each of them, and the least of several counts', async () => {
  const [one, other, free] = [`vendor/${newId()}`, `vendor/${newId()}`, `house_${newId()}`]
  const account = await givenAccount({
    models: {
      'vendor/*': { running: 2 },
      [one]: { running: 1 },
      'house.*': { running: 0 },
      'houseX*': { running: 0 },
    },
  })
  for (const model of [one, other, free]) await givenWaiting(model, account, 5)

  const taken = await Promise.all([one, other, free].map((model) => take(model, 9)))

  expect(taken.map((claims) => claims.length)).toEqual([1, 2, 5])
})

test('a pattern of what may run fits the models that it fits in rates and rules', async () => {
  const account = await givenAccount({})
  const odd = fc
    .array(fc.constantFrom('a', 'A', '*', '%', '_', '\\', '.', "'", '"', '?', '[', '^', '\n', 'é', '😀'), {
      minLength: 1,
      maxLength: 6,
    })
    .map((all) => all.join(''))
  const pairs = fc.tuple(odd, odd).map(([pattern, one]): [string, string] => [pattern, one])
  // Half of them fit, or nearly so.
  const near = fc
    .tuple(odd, odd)
    .map(([pattern, part]): [string, string] => [pattern, pattern.replace('*', part)])
  const both = { true: 0, false: 0 }
  for (const [pattern, model] of fc.sample(fc.oneof(pairs, near), 400)) {
    await givenOnPlan(database.db, { account, limits: { models: { [pattern]: { running: 3 } } } })
    const { rows } = await database.db.pool.query(
      limitsOf({ account: '$1::uuid', lane: '$2::uuid', model: '$3::text' }),
      [account, newId(), model],
    )
    const fits = matchesGlob(pattern, model)
    expect([pattern, model, rows[0].limits !== null]).toEqual([pattern, model, fits])
    both[`${fits}`]++
  }
  expect(Math.min(both.true, both.false)).toBeGreaterThan(50)
})

test('a key at its limit is in no way of its account and its other keys, and these wait in their order', async () => {
  const model = newId()
  const account = await givenAccount({ running: 5 })
  const [limited, open] = [
    await givenLimitedKey(database.db, account, { running: 2 }),
    await givenLimitedKey(database.db, account, { requests: 5 }),
  ]
  await givenWaiting(model, account, 10, { keyId: limited })
  const late = await givenWaiting(model, account, 10, { keyId: open })

  const claims = await take(model, 9)

  expect(claims.map(({ row }) => row.key_id).sort()).toEqual([limited, limited, open, open, open].sort())
  expect(idsOf(claims)).toEqual(expect.arrayContaining(late.slice(0, 3)))
  expect(await take(model, 9)).toEqual([])
  await endAll(claims.filter(({ row }) => row.key_id === limited).slice(0, 1))
  // The one that has waited longest is of the key that has room again.
  expect((await take(model, 1)).map(({ row }) => row.key_id)).toEqual([limited])
})

test('a limit that the plan states counts from the next claim on, and so does one that it drops', async () => {
  const model = newId()
  const account = await givenAccount({ running: 1 })
  await givenWaiting(model, account, 10)
  expect(await take(model, 9)).toHaveLength(1)

  await givenOnPlan(database.db, { account, limits: { running: 3 } })
  expect(await take(model, 9)).toHaveLength(2)

  await givenOnPlan(database.db, { account })
  expect(await take(model, 9)).toHaveLength(7)
})

test('what waits for its account to have room waits for no bell, and no worker counts as starving for it', async () => {
  const model = newId()
  const account = await givenAccount({ running: 1 })
  await givenWaiting(model, account, 3)
  const claims = await take(model, 2)
  await database.db.pool.query(`update runs set run_at = run_at - interval '1 minute'`)

  expect(await rungFor(model)).toBe(false)
  expect(await findWaiting(database.db, [model], 10)).toEqual([])
  await endAll(claims)
  expect(await findFreed(database.db, [account])).toEqual([{ account, pool: 'default', model }])
  expect(await rungFor(model)).toBe(true)
  expect(await findWaiting(database.db, [model], 10)).toEqual([model])
})

test('what had no time left to begin while its account was at its limit is told which limit that was', async () => {
  const { db } = database
  const model = newId()
  const account = await givenAccount({ models: { '*': { running: 1 } } })
  const [, waiting = ''] = await givenWaiting(model, account, 2)
  const free = await givenWaiting(newId(), await givenAccount({}), 1)
  await take(model, 1)
  await db.pool.query(
    `update runs set start_by = clock_timestamp() - interval '1 second' where prediction_id = any($1)`,
    [[waiting, ...free]],
  )
  await announceWorker(db, 'a-worker', [model])

  await endOverdue(lifecycleOn(db), 10)

  expect(await findPrediction(db, account, waiting)).toMatchObject({
    error_id: 'START_TIMEOUT',
    error: expect.stringMatching(/^Its account may run 1 of this model at a time\. No worker began/),
  })
  const { rows } = await db.pool.query('select error from predictions where id = any($1)', [free])
  expect(rows).toEqual([{ error: expect.not.stringContaining('may run') }])
})

test('ten thousand that wait for their account to have room cost a claim of others nothing', async () => {
  const { pool } = database.db
  const model = newId()
  const [full, other] = [await givenAccount({ running: 1 }), await givenAccount({})]
  await givenWaiting(model, full, 1)
  await take(model, 1)
  await pool.query(
    `insert into runs (prediction_id, account_id, model, pool, run_at, start_by)
     select gen_random_uuid(), $1, $2, 'default', clock_timestamp(), clock_timestamp() + interval '1 day'
     from generate_series(1, 10000)`,
    [full, model],
  )
  await givenWaiting(model, other, 5)
  await pool.query('vacuum analyze runs')
  const db = connect({ url: database.url, max: 1, name: 'millrace-test', settings: plannedOnce })
  const read = async () => {
    await db.pool.query('select pg_stat_force_next_flush()')
    const { rows } = await db.pool.query<{ read: number }>(
      `select pg_stat_get_tuples_returned('runs_line'::regclass)::float8 as read`,
    )
    return rows[0]?.read ?? 0
  }

  const before = await read()
  const { claims } = await claimWithin(lifecycleOn(db), { model, limit: 5, worker: 'w', leaseSeconds: 60 })
  const entries = (await read()) - before
  await db.close()

  expect(claims).toHaveLength(5)
  expect(entries).toBeLessThan(40)
})

test('where no limit is stated nothing is noted', async () => {
  const model = newId()
  const account = await givenAccount({ requests: 5, models: { [model]: { requests: 5 } } })
  await givenWaiting(model, account, 3)

  const claims = await take(model, 3)

  expect(claims.map(({ limited }) => limited)).toEqual([false, false, false])
  const { rowCount } = await database.db.pool.query('select from places_taken where ids && $1::uuid[]', [
    idsOf(claims),
  ])
  expect(rowCount).toBe(0)
})

const givenAccount = (limits: Limits) => givenOnPlan(database.db, { limits })

async function givenWaiting(
  model: string,
  accountId: string,
  count: number,
  given: Partial<Draft> = {},
): Promise<string[]> {
  const drafts = Array.from({ length: count }, () => draft({ model, accountId, ...given }))
  await accept(lifecycleOn(database.db), drafts)
  return drafts.map(({ id }) => id)
}

/** Claims again while there may be more, as a worker does; a claim that waits for others too long is made again. */
async function take(
  model: string,
  limit: number,
  { worker = 'a-worker', rotation = newRotation() } = {},
): Promise<Claim[]> {
  const claims: Claim[] = []
  for (let more = true; more && claims.length < limit; ) {
    const request = { model, limit: limit - claims.length, worker, rotation, leaseSeconds: 600 }
    const claimed = await until(() => claimWithin(lifecycleOn(database.db), request), { what: 'the claim' })
    if (!claimed) break
    claims.push(...claimed.claims)
    more = claimed.more
  }
  return claims
}

async function endAll(claims: Claim[]): Promise<void> {
  if (claims.length === 0) return
  const lifecycle = lifecycleOn(database.db)
  await settle(
    lifecycle,
    claims.map(({ id, attempt }) => ({
      id,
      attempt,
      verb: 'fail',
      error: 'It broke',
      errorId: 'MODEL_ERROR',
    })),
  )
}

async function underWay(account: string): Promise<number> {
  const { rowCount } = await database.db.pool.query(
    'select from runs where account_id = $1 and worker is not null',
    [account],
  )
  return rowCount ?? 0
}

async function unfinished(account: string): Promise<number> {
  return (
    (await database.db.pool.query('select from runs where account_id = $1 limit 1', [account])).rowCount ?? 0
  )
}

async function rungFor(model: string): Promise<boolean> {
  const rung: string[] = []
  await ringLost(database.db, { ring: (_, name) => void rung.push(name) })
  return rung.includes(model)
}

const idsOf = (claims: Claim[]): string[] => claims.map(({ id }) => id)
