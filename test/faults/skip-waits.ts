import type { Database } from '@millrace/database/connect'

/**
 * Makes the deliveries to `urls` that wait for their next attempt due now, as if their time had come. Answers how long
 * each of them was to wait.
 */
export async function skipWaits(db: Database, urls: string[]): Promise<Wait[]> {
  const { rows } = await db.pool.query<Wait>(
    `with waiting as (
       select d.id, d.due_at, a.at + make_interval(secs => a.duration_ms / 1000.0) as since
       from deliveries d join delivery_attempts a on a.delivery_id = d.id and a.attempt = d.attempt
       where d.url = any($1) and d.state = 'due' and d.due_at > clock_timestamp()
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
