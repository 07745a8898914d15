import type { Connection } from './connect.ts'

/**
 * Measures how far this process's clock is from the database's, so that ids made here fall into the partitions that
 * the database's time says. Called at start and every minute by whoever makes ids.
 */
export async function measureClock(connection: Connection): Promise<number> {
  const sent = Date.now()
  const { rows } = await connection.query<{ ms: number }>(
    'select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms',
  )
  const middle = (sent + Date.now()) / 2
  offset = Math.round((rows[0]?.ms ?? middle) - middle)
  return offset
}

/** Milliseconds since 1970 by the database's clock, as far as the last measurement tells. */
export function databaseNow(): number {
  return Date.now() + offset
}

let offset = 0
