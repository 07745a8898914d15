import type { Database } from '@millrace/database/connect'
import { countAhead } from './count-ahead.ts'
import { withFallBack } from './fall-back.ts'
import { postgresWindows } from './postgres-windows.ts'
import type { RateReading } from './rate-window.ts'
import type { Rate, RatedEntry } from './rates.ts'
import { redisWindows } from './redis-windows.ts'

/**
 * Counts what is limited by rates, in Redis (`redisUrl`) or in Postgres, so that all processes share one count; in this
 * process where that cannot be asked. Nothing here throws.
 */
export function openRates({ db, redisUrl, prefix, onChange }: RatesOptions): Rates {
  const shared = redisUrl ? redisWindows(redisUrl, prefix) : postgresWindows(db)
  const store = countAhead(withFallBack(shared, { patienceMs: redisUrl ? redisMs : postgresMs, onChange }))

  return {
    async take(entries) {
      const { counted, readings, at } = await store.count(entries)
      const levels = readings.map(({ used, leavesMs, fitsMs, slice }, n): Level => {
        const { rate, cost } = entries[n] as RatedEntry
        return { rate, cost, used, leavesMs, fitsMs, slice }
      })
      return {
        counted,
        levels,
        async settle(actual) {
          const corrections = levels.flatMap(({ rate, cost, slice }) => {
            const used = actual(rate)
            return used === cost
              ? []
              : [
                  { window: rate.window, cost: -cost, slice },
                  { window: rate.window, cost: used },
                ]
          })
          if (counted && corrections.length > 0) await store.count(corrections, at)
        },
      }
    },
    opened: () => store.opened(),
    close: () => store.close(),
  }
}

/** A reply does not wait longer than that for Redis; for Postgres, which it waits for all the same, somewhat longer. */
const redisMs = 50
const postgresMs = 1_000

interface RatesOptions {
  db: Database
  redisUrl?: string | undefined
  prefix?: string | undefined
  /** Hears when the store that all share goes away and when it is back. */
  onChange: (away: boolean, error?: unknown) => void
}

export interface Rates {
  /** Counts all entries, or none where one is above its rate. */
  take(entries: readonly RatedEntry[]): Promise<Taking>
  /** Once the store can be asked, or cannot for now. */
  opened(): Promise<void>
  close(): Promise<void>
}

export interface Taking {
  counted: boolean
  levels: Level[]
  /** Puts what it cost in truth, by rate, in the place of what was counted. */
  settle(actual: (rate: Rate) => number): Promise<void>
}

/** Where a rate stands. */
export interface Level extends RateReading {
  rate: Rate
  /** What was counted, or would have been. */
  cost: number
}
