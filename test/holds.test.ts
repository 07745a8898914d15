import { newId } from '@millrace/database/ids'
import type { Price } from '@millrace/ledger/price'
import { accept, type Draft } from '@millrace/lifecycle/accept'
import { begin } from '@millrace/lifecycle/begin'
import { requestCancel } from '@millrace/lifecycle/cancel'
import { findPrediction } from '@millrace/lifecycle/find'
import { endOverdue } from '@millrace/lifecycle/overdue'
import { hide } from '@millrace/lifecycle/remove'
import { type Ending, settle } from '@millrace/lifecycle/settle'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { booksOf, givenFunds, paidDraft } from './given-credits.ts'
import { claimed, draft, endings, lifecycleOn } from './given-predictions.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { until } from './harness/wait.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.drop())

const acceptAll = (drafts: Draft[]) => accept(lifecycleOn(database.db), drafts)
const books = (accountId: string) => booksOf(database.db, accountId)

test('what is accepted is held, and what cannot be paid for is refused with what is left', async () => {
  const account = await givenFunds(database.db, 100)

  const verdicts = await acceptAll([60, 30, 30].map((hold) => paidDraft(account, hold)))

  expect(verdicts).toEqual([true, true, { errorId: 'INSUFFICIENT_CREDITS', available: 10 }])
  expect(await books(account)).toMatchObject({ balance: 100, held: 90, holds: 90, entered: 100 })
})

test('of a batch each account pays for its own, and a dearer neighbour takes nothing from who can pay', async () => {
  const [rich, poor] = [await givenFunds(database.db, 1_000), await givenFunds(database.db, 50)]
  const drafts = [
    paidDraft(poor, 80),
    paidDraft(rich, 900),
    paidDraft(poor, 20),
    draft({ accountId: poor }),
    paidDraft(poor, 40),
    paidDraft(poor, 30),
  ]

  const verdicts = await acceptAll(drafts)

  expect(verdicts).toEqual([
    { errorId: 'INSUFFICIENT_CREDITS', available: 50 },
    true,
    true,
    true,
    { errorId: 'INSUFFICIENT_CREDITS', available: 30 },
    true,
  ])
  expect(await books(poor)).toMatchObject({ balance: 50, held: 50 })
  expect(await books(rich)).toMatchObject({ held: 900 })
})

test('an account in debt, and one that never had credits, run what is free and nothing else', async () => {
  const [debtor, newcomer] = [await givenFunds(database.db, -5), await givenFunds(database.db, 0)]

  expect(await acceptAll([paidDraft(debtor, 1), draft({ accountId: debtor })])).toEqual([
    { errorId: 'PAYMENT_REQUIRED', available: -5 },
    true,
  ])
  expect(await acceptAll([paidDraft(newcomer, 1), draft({ accountId: newcomer })])).toEqual([
    { errorId: 'INSUFFICIENT_CREDITS', available: 0 },
    true,
  ])
})

test('the same batch again, as after an answer that was lost, holds nothing twice and refuses nothing', async () => {
  const account = await givenFunds(database.db, 100)
  const drafts = [paidDraft(account, 70), paidDraft(account, 30), paidDraft(account, 10)]

  const first = await acceptAll(drafts)

  expect(await acceptAll(drafts)).toEqual(first)
  expect(first.map((verdict) => verdict === true)).toEqual([true, true, false])
  expect(await books(account)).toMatchObject({ held: 100, holds: 100 })
})

test('what had enough by the look of it is refused when it was spent meanwhile, and nothing of it is stored', async () => {
  const account = await givenFunds(database.db, 100)
  const drafts = [paidDraft(account, 40), paidDraft(account, 30)]
  const spender = await database.db.pool.connect()
  await spender.query('begin')
  await spender.query('update balances set held = held + 50 where account_id = $1', [account])

  const accepting = acceptAll(drafts)
  const waits = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  await until(async () => (await database.db.pool.query(waits)).rowCount, { what: 'the create to wait' })
  await spender.query('commit')
  spender.release()

  expect(await accepting).toEqual([true, { errorId: 'INSUFFICIENT_CREDITS', available: 10 }])
  expect(await books(account)).toMatchObject({ balance: 100, held: 90, holds: 40 })
})

test('a refusal is not remembered: its key is free for the next try', async () => {
  const account = await givenFunds(database.db, 10)
  const keyed = (hold: number) =>
    paidDraft(account, hold, { idempotency: { key: 'once', fingerprint: Buffer.of(1), statusCode: 201 } })

  expect(await acceptAll([keyed(11)])).toMatchObject([{ errorId: 'INSUFFICIENT_CREDITS' }])
  expect(await acceptAll([keyed(10), keyed(10)])).toEqual([true, false])
  expect(await acceptAll([keyed(0)])).toEqual([false])
  expect(await books(account)).toMatchObject({ held: 10 })
})

const outcomes: [string, Record<string, unknown>, number][] = [
  ['a success is charged', { verb: 'succeed', output: '1', files: [] }, 40],
  [
    'what was used is charged, and never more than was held',
    { verb: 'succeed', output: '1', files: [], usage: { image: 9 } },
    50,
  ],
  ['a failure costs nothing', { verb: 'fail', error: 'It broke', errorId: 'MODEL_ERROR' }, 0],
  [
    'a time-out costs nothing unless its price says so',
    { verb: 'fail', error: 'Late', errorId: 'RUN_TIMEOUT' },
    0,
  ],
  ['a cancellation costs nothing unless its price says so', { verb: 'cancel' }, 0],
]
test.each(outcomes)('%s, and the rest is released', async (_, ending, charge) => {
  const account = await givenFunds(database.db, 100)
  const { lifecycle, fence } = await givenRun(account, 50, { unit: 'image', rate: '20' })
  const used = ending.verb === 'succeed' && !ending.usage ? { usage: { image: 2 } } : {}

  const [row] = await settle(lifecycle, [{ ...fence, ...ending, ...used } as Ending])

  expect(row).toMatchObject({ charged: charge, held: 50 })
  expect(await books(account)).toEqual({
    balance: 100 - charge,
    entered: 100 - charge,
    held: 0,
    holds: 0,
    charged: charge,
    charges: charge,
  })
})

test('what was told to be charged before the end gives way to what the end is charged', async () => {
  const account = await givenFunds(database.db, 100)
  const { lifecycle, fence } = await givenRun(account, 50, { unit: 'image', rate: '20' })
  const success: Ending = {
    ...fence,
    verb: 'succeed',
    output: '1',
    files: [],
    usage: { image: 2 },
    charged: 50,
  }

  await settle(lifecycle, [success])

  expect(await books(account)).toMatchObject({ balance: 60, charged: 40, charges: 40 })
})

test('the time of a run is charged as metrics.predict_time tells it, also of a time-out where the price says so', async () => {
  const account = await givenFunds(database.db, 100_000_000)
  const price = { unit: 'second', rate: '1000000', charged_when: ['run_timeout'] } satisfies Price
  const { lifecycle, fence } = await givenRun(account, 90_000_000, price)

  const [row] = await settle(lifecycle, [{ ...fence, verb: 'fail', error: 'Late', errorId: 'RUN_TIMEOUT' }])

  const seconds = ((row?.completed_at?.getTime() ?? 0) - (row?.started_at?.getTime() ?? 0)) / 1000
  expect(row?.charged).toBe(Math.round(seconds * 1_000_000))
  expect(await books(account)).toMatchObject({ held: 0, charged: row?.charged, charges: row?.charged })
})

test('whoever ends it, the hold goes with it: a cancel before it begins, the sweeper, an expiry, a deletion', async () => {
  const { db } = database
  const lifecycle = lifecycleOn(db)
  const account = await givenFunds(db, 1_000)
  const [cancelled, late, expired, deleted] = [
    paidDraft(account, 100),
    paidDraft(account, 100, { timeouts: { start: 0, run: 1 } }),
    paidDraft(account, 100, { expiresIn: 0 }),
    paidDraft(account, 100),
  ]
  await acceptAll([cancelled, late, expired, deleted])
  expect(await books(account)).toMatchObject({ held: 400 })

  expect(await requestCancel(lifecycle, cancelled.id)).toBe('settled')
  expect(await endOverdue(lifecycle, 0)).toEqual([late.id, expired.id])
  expect(await findPrediction(db, account, expired.id)).toMatchObject({ error_id: 'EXPIRED', charged: 0 })
  await requestCancel(lifecycle, deleted.id)
  await hide(db, account, deleted.id)

  expect(await books(account)).toEqual({
    balance: 1_000,
    entered: 1_000,
    held: 0,
    holds: 0,
    charged: 0,
    charges: 0,
  })
})

test('what was deleted while it ran and then succeeded shows its charge in the activity', async () => {
  const { db } = database
  const account = await givenFunds(db, 1_000)
  const made = paidDraft(account, 100)
  await acceptAll([made])
  const fence = await claimed(db, made.model)
  await begin(lifecycleOn(db), [fence])
  await hide(db, account, made.id)

  const { succeeded } = endings(fence)
  if (succeeded) await settle(lifecycleOn(db), [succeeded])

  const { rows } = await db.pool.query('select status, charged from removed_predictions where id = $1', [
    made.id,
  ])
  expect(rows).toEqual([{ status: 'succeeded', charged: 100 }])
})

test('a result that lost the race for its end moves no money', async () => {
  const account = await givenFunds(database.db, 100)
  const made = paidDraft(account, 10)
  await acceptAll([made])
  const fence = await claimed(database.db, made.model)
  const lifecycle = lifecycleOn(database.db)
  await begin(lifecycle, [fence])
  const { succeeded, cancelled, failed } = endings(fence)

  const ends = await Promise.all(
    [succeeded, cancelled, failed, succeeded].flatMap((one) => (one ? [settle(lifecycle, [one])] : [])),
  )

  const [winner] = ends.flat().filter((row) => row !== undefined)
  const charge = winner?.status === 'succeeded' ? 10 : 0
  expect(ends.flat().filter((row) => row !== undefined)).toHaveLength(1)
  expect(await books(account)).toMatchObject({
    balance: 100 - charge,
    entered: 100 - charge,
    held: 0,
    charges: charge,
  })
})

test('a webhook of the end tells what it cost', async () => {
  const account = await givenFunds(database.db, 100)
  const webhook = { url: 'http://receiver.test/', events: ['prediction.succeeded'] }
  const made = paidDraft(account, 12, { webhook })
  await acceptAll([made])
  const fence = await claimed(database.db, made.model)
  await begin(lifecycleOn(database.db), [fence])
  await settle(lifecycleOn(database.db), [{ ...fence, verb: 'succeed', output: '1', files: [] }])

  const { rows } = await database.db.pool.query<{ body: string }>(
    'select b.body from deliveries d join webhook_bodies b on b.id = d.body_id where d.prediction_id = $1',
    [made.id],
  )
  expect(rows.map(({ body }) => JSON.parse(body))).toMatchObject([
    { data: { metadata: { billing: { credits_used: 0.000012 } } } },
  ])
})

test('an ending with money and one without go together', async () => {
  const account = await givenFunds(database.db, 100)
  const model = newId()
  const drafts = [
    paidDraft(account, 10, { model }),
    draft({ accountId: account, model }),
    paidDraft(account, 5, { model }),
  ]
  await acceptAll(drafts)
  const lifecycle = lifecycleOn(database.db)
  const fences = [
    await claimed(database.db, model),
    await claimed(database.db, model),
    await claimed(database.db, model),
  ]
  await begin(lifecycle, fences)

  const rows = await settle(
    lifecycle,
    fences.map((fence) => ({ ...fence, verb: 'succeed' as const, output: '1', files: [] })),
  )

  expect(rows.map((row) => row?.charged)).toEqual([10, 0, 5])
  expect(await books(account)).toMatchObject({ balance: 85, held: 0, charges: 15 })
})

/** A prediction that is under way, with what is held for it. */
async function givenRun(account: string, hold: number, price: Price) {
  const made = paidDraft(account, hold, { price })
  await acceptAll([made])
  const lifecycle = lifecycleOn(database.db)
  const fence = await claimed(database.db, made.model)
  await begin(lifecycle, [fence])
  return { lifecycle, fence }
}
