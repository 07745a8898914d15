import type { Database } from '@millrace/database/connect'
import { ensurePartitions } from '@millrace/database/partitions'
import type { PoolClient } from 'pg'

/**
 * Writes so many predictions of the one account with the rows that the lifecycle leaves beside them: ended ones, made at
 * even distances over the last 30 days, or ones that wait for a worker, made within the last hour.
 */
export async function fill(db: Database, count: number, as: 'ended' | 'waiting'): Promise<void> {
  await ensurePartitions(db.pool, 'day', 31)
  await addRows(db, count, as, as === 'ended' ? '30 days' : '1 hour')
  await patiently(db, (client) => client.query('vacuum (analyze) predictions, outcomes, runs'))
}

/** Adds that many more, made within so long before now. */
export async function addRows(
  db: Database,
  count: number,
  as: 'ended' | 'waiting',
  within: string,
): Promise<void> {
  const { rows } = await db.pool.query<{ id: string }>('select id from accounts order by id limit 1')
  const atOnce = 100_000
  await patiently(db, async (client) => {
    for (let first = 0; first < count; first += atOnce) {
      const last = Math.min(first + atOnce, count) - 1
      await client.query(statements[as], [rows[0]?.id, first, last, count, within])
    }
  })
}

/** On a connection whose statements may take minutes, and wait for an autovacuum. */
export async function patiently(
  { pool }: Database,
  work: (client: PoolClient) => Promise<unknown>,
): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('set statement_timeout = 0; set lock_timeout = 0; set synchronous_commit = off')
    await work(client)
  } finally {
    client.release(true)
  }
}

const seeds = `
  select $1::uuid as account, at,
         encode(decode(lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0')
                       || '8' || substr(md5(n::text), 1, 15), 'hex'), 'hex')::uuid as id
  from generate_series($2::bigint, $3::bigint) n,
       lateral (select date_trunc('milliseconds', clock_timestamp()) - $5::interval * (1 - n / $4::float8)
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
