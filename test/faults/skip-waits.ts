import type { Database } from '@millrace/database/connect'

/**
 * Makes the deliveries to `urls` that wait for their next attempt due now, as if their time had come. Answers how long
 * each of them was to wait.
 */
export async function skipWaits(db: Database, urls: string[]): Promise<Wait[]> {
  const { rows } = await db.pool.query<Wait>(
    `with waiting as (
       select d.id, d.due_at, (a ->> 'at')::timestamptz + make_interval(secs => (a ->> 'duration_ms')::float8 / 1000) as since
       from deliveries d cross join lateral (select d.attempts -> d.attempt::text) as last(a)
       where a is not null and d.url = any($1) and d.state = 'due' and d.due_at > clock_timestamp()
       for update of d skip locked
     )
     update deliveries d set due_at = clock_timestamp() from waiting w where d.id = w.id
     returning d.id, extract(epoch from w.due_at - w.since)::float8 as seconds`,
    [urls],
  )
  return rows
}

export interface Wait {
  /** Of the delivery. */
  id: string
  /** From the end of an attempt to the beginning of the next. */
  seconds: number
}
