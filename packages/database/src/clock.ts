import type { Pool } from 'pg'

/**
 * Milliseconds since 1970 by the database's clock, as far as the last measurement tells. Counted on this machine's
 * monotonic clock: setting its time of day changes nothing.
 */
export function databaseNow(): number {
  return Math.floor(performance.now() + (offset ?? performance.timeOrigin))
}

/**
 * Measures how far this process's clock is from the database's, so that ids made here fall into the partitions that
 * the database's time says. Called at start by whoever makes ids; see `keepClock`.
 */
export async function measureClock(pool: Pool): Promise<void> {
  // On a connection that is already held, the wait for one is not taken for a distance.
  const client = await pool.connect()
  let broken = true
  try {
    for (let n = 0; n < 3; n++) {
      const sent = performance.now()
      const { rows } = await client.query<{ ms: number }>(
        'select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms',
      )
      if (rows[0]) offset = corrected(offset, { sent, said: rows[0].ms, received: performance.now() })
    }
    broken = false
  } finally {
    client.release(broken)
  }
}

/**
 * What the offset is after one more look at the database's clock. The time it said lay between question and answer, so
 * the look proves two bounds, and an offset within them stays: a slow answer spoils nothing, and after several the
 * fastest one bounds the error.
 */
export function corrected(known: number | undefined, { sent, said, received }: Look): number {
  const [low, high] = [said - received, said - sent]
  return known === undefined ? (low + high) / 2 : Math.min(Math.max(known, low), high)
}

/**
 * Measures again every minute, and within a second when the time of day and the monotonic clock came apart: after this
 * machine slept, the monotonic one lags behind. Until the timer is cleared.
 */
export function keepClock(pool: Pool): NodeJS.Timeout {
  let last = readClocks()
  let underWay = false
  return setInterval(() => {
    const now = readClocks()
    const isDue = now.monotonic - last.monotonic > 60_000 || Math.abs(now.apart - last.apart) > 100
    if (underWay || !isDue) return
    underWay = true
    measureClock(pool)
      .then(() => {
        last = now
      })
      .catch(() => {})
      .finally(() => {
        underWay = false
      })
  }, 1_000)
}

function readClocks(): { monotonic: number; apart: number } {
  const monotonic = performance.now()
  return { monotonic, apart: Date.now() - monotonic }
}

let offset: number | undefined

interface Look {
  /** By `performance.now()`. */
  sent: number
  /** Milliseconds since 1970, by the database. */
  said: number
  received: number
}
