import { hourDays } from '@millrace/activity/roll-usage'
import { databaseNow } from '@millrace/database/clock'
import { ApiError } from './api-error.ts'
import { timeRange } from './date-range.ts'

/**
 * The whole hours or days, in UTC, that usage is asked for: a calendar period so far, or from one time to another, widened
 * to whole hours. `hourly` where they are not whole days. Throws INVALID_DATE_FORMAT, INVALID_DATE_RANGE and
 * INVALID_PARAMETER_COMBINATION.
 */
export function usageRange({ period, from, to, byHour }: RangeAsked, now = databaseNow()): UsageRange {
  if (period !== undefined && (from !== undefined || to !== undefined))
    throw new ApiError('INVALID_PARAMETER_COMBINATION', 'Send either period, or from and to.')
  const range =
    from === undefined && to === undefined
      ? periodOf(period ?? 'month', now)
      : given({ from, to, byHour }, now)
  const hourly = byHour || range.from % day !== 0 || range.to % day !== 0
  if (hourly && range.to - range.from > mostHourlyDays * day)
    throw new ApiError(
      'INVALID_DATE_RANGE',
      `By the hour, at most ${mostHourlyDays} days can be asked for at once.`,
    )
  if (hourly && range.from < now - hourDays * day)
    throw new ApiError('INVALID_DATE_RANGE', `Hours are known for ${hourDays} days; ask for whole days.`)
  return { from: new Date(range.from), to: new Date(range.to), hourly }
}

function periodOf(period: Period, now: number): Times {
  if (period === 'month') {
    const date = new Date(now)
    const start = (months: number) => Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + months)
    return { from: start(0), to: start(1) }
  }
  const unit = period === 'hour' ? hour : day
  const from = Math.floor(now / unit) * unit
  return { from, to: from + unit }
}

function given({ from, to, byHour }: Omit<RangeAsked, 'period'>, now: number): Times {
  const asked = timeRange(from, to)
  // What is given to the millisecond is inclusive; the hour that begins with it is not meant.
  const until = asked.to && asked.to.getTime() - 1
  const start = asked.from?.getTime() ?? periodOf('month', until ?? now).from
  const unit = byHour || start % day !== 0 ? hour : day
  const end = until === undefined ? Math.ceil(now / unit) * unit : Math.ceil(until / hour) * hour
  const first = Math.floor(start / hour) * hour
  return { from: first, to: Math.max(end, first + hour) }
}

const hour = 3_600_000
const day = 24 * hour
const mostHourlyDays = 31

type Period = 'hour' | 'day' | 'month'

interface Times {
  from: number
  to: number
}

interface RangeAsked {
  period?: Period | undefined
  from?: string | undefined
  to?: string | undefined
  byHour: boolean
}

export interface UsageRange {
  from: Date
  /** Exclusive. */
  to: Date
  hourly: boolean
}
