import { budgetPeriods } from '@millrace/contract/budget'
import { periodAt } from '@millrace/ledger/budget-period'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.drop())

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

  test('begins by the database when it does here, whatever time zone a connection has', async () => {
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

describe('thresholds', () => {
  const thresholds = [{ percent: 80 }, { percent: 50 }, { credits: 6 }]
  const million = 1_000_000

  async function reached(
    before: number,
    after: number,
    hardCap: number | null = 10 * million,
    of: object = thresholds,
  ) {
    const { rows } = await database.db.pool.query(
      'select t from thresholds_reached($1::json, $2::bigint, $3::bigint, $4::bigint) t',
      [JSON.stringify(of), hardCap, before, after],
    )
    return rows.map(({ t }) => t)
  }

  test('are reached by what was spent up to them, lowest first', async () => {
    expect(await reached(0, 4_999_999)).toEqual([])
    expect(await reached(0, 5 * million)).toEqual([{ percent: 50 }])
    expect(await reached(5 * million, 9 * million)).toEqual([{ credits: 6 }, { percent: 80 }])
    expect(await reached(0, 100 * million)).toEqual([{ percent: 50 }, { credits: 6 }, { percent: 80 }])
  })

  test('are each reached once, however what is spent is parted', async () => {
    const steps = Array.from({ length: 101 }, (_, nth) => nth * 100_000)
    const all = await Promise.all(steps.slice(1).map((after, nth) => reached(steps[nth] ?? 0, after)))
    expect(all.flat()).toEqual([{ percent: 50 }, { credits: 6 }, { percent: 80 }])
  })

  test('of no cap have no percentages', async () => {
    expect(await reached(0, 100 * million, null)).toEqual([{ credits: 6 }])
  })

  test('of a cap that cannot be parted evenly are reached by no less', async () => {
    const half = [{ percent: 50 }]
    expect(await reached(0, 1, 3, half)).toEqual([])
    expect(await reached(0, 2, 3, half)).toEqual(half)
  })

  test('are told to the last digit', async () => {
    expect(await reached(0, 1, null, [{ credits: 0.000001 }])).toHaveLength(1)
    expect(await reached(0, 999_999_999_999_999, null, [{ credits: 999_999_999.999_999 }])).toHaveLength(1)
  })
})
