import type { Database } from '@millrace/database/connect'
import { ensurePartitions } from '@millrace/database/partitions'

/**
 * Writes so many predictions of the one account, made at even distances over the last 30 days, with the rows that the
 * lifecycle leaves beside them: ended ones, or ones that wait for a worker.
 */
export async function fill(db: Database, count: number, as: 'ended' | 'waiting'): Promise<void> {
  await ensurePartitions(db.pool, 'day', 31)
  await addRows(db, count, as)
  await db.pool.query('vacuum (analyze) predictions, outcomes, runs')
}

/** Adds that many more, as they are. */
export async function addRows(db: Database, count: number, as: 'ended' | 'waiting'): Promise<void> {
  const { rows } = await db.pool.query<{ id: string }>('select id from accounts order by id limit 1')
  const client = await db.pool.connect()
  try {
    await client.query(`set statement_timeout = 0; set synchronous_commit = off`)
    const atOnce = 100_000
    for (let first = 0; first < count; first += atOnce) {
      const last = Math.min(first + atOnce, count) - 1
      await client.query(statements[as], [rows[0]?.id, first, last, count])
    }
  } finally {
    client.release(true)
  }
}

const seeds = `
  select $1::uuid as account, at,
         encode(decode(lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0')
                       || '8' || substr(md5(n::text), 1, 15), 'hex'), 'hex')::uuid as id
  from generate_series($2::bigint, $3::bigint) n,
       lateral (select date_trunc('milliseconds', clock_timestamp()) - interval '30 days' * (1 - n / $4::float8)
                       - interval '1 s' as at) as times`

const statements = {
  ended: `
    with seeds as materialized (${seeds}), stored as (
      insert into predictions (id, account_id, model, model_type, status, attempt, source, input, output, tags, timeouts,
                               created_at, updated_at, started_at, completed_at)
      select id, account, 'noop', 'text', 'succeeded', 1, 'api', '{"prompt":"nothing much"}', '{"prompt":"nothing much"}',
             '{}', '{"start":600,"run":600}', at, at, at, at
      from seeds
    )
    insert into outcomes (account_id, prediction_id, status, model) select account, id, 'succeeded', 'noop' from seeds`,
  waiting: `
    with seeds as materialized (${seeds}), stored as (
      insert into predictions (id, account_id, model, model_type, status, source, input, tags, timeouts, created_at, updated_at)
      select id, account, 'noop', 'text', 'pending', 'api', '{"prompt":"nothing much"}', '{}', '{"start":86400,"run":600}', at, at
      from seeds
    )
    insert into runs (prediction_id, account_id, model, pool, run_at, start_by)
    select id, account, 'noop', 'default', at, clock_timestamp() + interval '1 day' from seeds`,
}
