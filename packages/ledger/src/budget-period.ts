import type { BudgetPeriod } from '@millrace/contract/budget'

/**
 * The period that a moment lies in, by the calendar of UTC, weeks from Monday; `end` is the first moment of the next.
 * Undefined for `total`, which neither begins nor ends. The migrations' budget_period_start says the same in SQL.
 */
export function periodAt(period: BudgetPeriod, moment: Date): { start: Date; end: Date } | undefined {
  const year = moment.getUTCFullYear()
  const month = moment.getUTCMonth()
  const day = moment.getUTCDate()
  const monday = day - ((moment.getUTCDay() + 6) % 7)
  switch (period) {
    case 'day':
      return between([year, month, day], [year, month, day + 1])
    case 'week':
      return between([year, month, monday], [year, month, monday + 7])
    case 'month':
      return between([year, month, 1], [year, month + 1, 1])
    case 'total':
      return undefined
  }
}

const between = (start: Day, end: Day) => ({
  start: new Date(Date.UTC(...start)),
  end: new Date(Date.UTC(...end)),
})

type Day = [year: number, month: number, day: number]
