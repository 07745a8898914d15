import { periodAt } from '@millrace/budgets/period'
import { reachedThresholds } from '@millrace/budgets/thresholds'
import { budgetPeriods } from '@millrace/contract/budget'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'

describe('a period', () => {
  test.each([
    ['day', '2026-02-28T23:59:59.999Z', '2026-02-28', '2026-03-01'],
    ['day', '2028-02-28T00:00:00.000Z', '2028-02-28', '2028-02-29'],
    ['week', '2026-11-22T12:00:00.000Z', '2026-11-16', '2026-11-23'],
    ['week', '2026-11-23T00:00:00.000Z', '2026-11-23', '2026-11-30'],
    ['week', '2027-01-01T00:00:00.000Z', '2026-12-28', '2027-01-04'],
    ['month', '2026-12-31T23:59:59.999Z', '2026-12-01', '2027-01-01'],
    ['month', '2028-02-29T00:00:00.000Z', '2028-02-01', '2028-03-01'],
  ] as const)('%s of %s begins %s and ends before %s', (period, moment, start, end) => {
    const midnight = (day: string) => new Date(`${day}T00:00:00.000Z`)
    expect(periodAt(period, new Date(moment))).toEqual({ start: midnight(start), end: midnight(end) })
  })

  test('in total never ends', () => {
    expect(periodAt('total', new Date())).toBeUndefined()
  })

  describe('by the database', () => {
    let database: FreshDatabase
    beforeAll(async () => {
      database = await freshDatabase()
    })
    afterAll(() => database.drop())

    test('begins when it does here, whatever time zone a connection has', async () => {
      const moments = Array.from({ length: 400 }, (_, nth) => new Date(Date.UTC(2026, 0, nth, nth % 24, 30)))
      const { rows } = await database.db.pool.query<{ starts: Date[] }>(
        `with zone as materialized (select set_config('timezone', 'Pacific/Auckland', false))
         select array(select budget_period_start(p, m) from unnest($1::timestamptz[]) with ordinality as t(m, nth),
                             unnest($2::text[]) with ordinality as u(p, mth) order by nth, mth) as starts from zone`,
        [moments, budgetPeriods],
      )
      const here = moments.flatMap((moment) =>
        budgetPeriods.map((period) => periodAt(period, moment)?.start ?? new Date(0)),
      )
      expect(rows[0]?.starts).toEqual(here)
    })
  })
})

describe('thresholds', () => {
  const thresholds = [{ percent: 80 }, { percent: 50 }, { credits: 6 }]
  const million = 1_000_000
  const reached = (before: number, after: number, hardCap: number | null = 10 * million) =>
    reachedThresholds({ thresholds, hardCap, before, after }).map(({ threshold }) => threshold)

  test('are reached by what was spent up to them, lowest first', () => {
    expect(reached(0, 4_999_999)).toEqual([])
    expect(reached(0, 5 * million)).toEqual([{ percent: 50 }])
    expect(reached(5 * million, 9 * million)).toEqual([{ credits: 6 }, { percent: 80 }])
    expect(reached(0, 100 * million)).toEqual([{ percent: 50 }, { credits: 6 }, { percent: 80 }])
  })

  test('are each reached once, however what is spent is parted', () => {
    const steps = Array.from({ length: 101 }, (_, nth) => nth * 100_000)
    const all = steps.slice(1).flatMap((after, nth) => reached(steps[nth] ?? 0, after))
    expect(all).toEqual([{ percent: 50 }, { credits: 6 }, { percent: 80 }])
  })

  test('of no cap have no percentages', () => {
    expect(reached(0, 100 * million, null)).toEqual([{ credits: 6 }])
  })

  test('of a cap that cannot be parted evenly are reached by no less', () => {
    const of = (after: number) =>
      reachedThresholds({ thresholds: [{ percent: 50 }], hardCap: 3, before: 0, after }).length
    expect([of(1), of(2)]).toEqual([0, 1])
  })
})
