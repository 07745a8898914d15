import type { Database } from '@millrace/database/connect'
import fc from 'fast-check'
import { expect } from 'vitest'
import { booksOf } from './given-credits.ts'
import { anyStep, type Told, tell } from './money-stories.ts'

/**
 * Tells so many stories, a dozen at a time so that they get into each other's way, and asks after each dozen whether
 * every book is right.
 */
export async function tellMany(db: Database, stories: number): Promise<void> {
  const anyRound = fc.array(anyStep, { minLength: 1, maxLength: 3 })
  const anyStories = fc.array(fc.array(anyRound, { maxLength: 6 }), { minLength: atOnce, maxLength: atOnce })
  await fc.assert(
    fc.asyncProperty(anyStories, async (dozen) => {
      const told = await Promise.all(dozen.map((rounds) => tell(db, rounds)))
      for (const story of told) await checkBooks(db, story)
    }),
    { numRuns: Math.ceil(stories / atOnce) },
  )
}

async function checkBooks(db: Database, { accountId, debits }: Told): Promise<void> {
  const { balance, held, entered, holds, charged, charges } = await booksOf(db, accountId)
  expect({ balance, held, charged }).toEqual({ balance: entered, held: holds, charged: charges })
  // What predictions cost, they held before: only the operator brings a balance below zero.
  expect(balance).toBeGreaterThanOrEqual(-debits)
  const { rows } = await db.pool.query(
    `select p.id from predictions p
     left join lateral (
       select coalesce(sum(amount) filter (where kind = 'charge'), 0) as charge, count(*) filter (where kind = 'charge') as times,
              coalesce(sum(amount) filter (where kind = 'refund'), 0) as refund
       from ledger_entries where prediction_id = p.id
     ) l on true
     left join runs r on r.prediction_id = p.id
     where p.account_id = $1 and (
       l.charge <> p.charged or l.times > 1 or l.refund > l.charge or coalesce(r.hold, p.held) <> p.held
       or (p.status <> 'succeeded' and p.charged > 0) or (p.completed_at is null) <> (r.prediction_id is not null))`,
    [accountId],
  )
  expect(rows).toEqual([])
}

const atOnce = 12
