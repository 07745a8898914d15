import { findActivity } from '@millrace/activity/find-activity'
import { readUsage, type UsageBy } from '@millrace/activity/read-usage'
import { rollUsage } from '@millrace/activity/roll-usage'
import { connect, type Database } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { until } from './harness/wait.ts'

const accountId = newId()
const rareKey = newId()
const commonKey = newId()

let database: FreshDatabase
const before = new Map<string, number>()
const after = new Map<string, number>()
beforeAll(async () => {
  database = await freshDatabase()
  await fill(database.db, 0, 2_000)
  await measure(before)
  await fill(database.db, 2_000, 30_000)
  await measure(after)
}, 180_000)
afterAll(() => database.drop())

const now = new Date()
const usages: UsageBy[] = ['all', 'model', 'key', 'type', 'day', 'hour', 'tag']
const filters = {
  nothing: {},
  'a model': { models: ['echo'] },
  'a key': { keyId: commonKey },
  'a rare key': { keyId: rareKey },
  'a status': { status: 'failed' },
  'a status and a model': { status: 'succeeded', models: ['echo'] },
  'a tag': { tags: { team: 'red' } },
  'a request': { requestId: 'theirs-7' },
  'a type': { type: 'chat' },
} as const

test.each(usages)('usage by %s costs the same when fifteen times as much has ended', (by) => {
  // A page or two more, as each hour and day has grown.
  expect(after.get(`usage ${by}`)).toBeLessThanOrEqual(1.5 * (before.get(`usage ${by}`) ?? 0) + 30)
})

test.each(Object.keys(filters))(
  'a page of the activity by %s costs the same when there is fifteen times as much',
  (name) => {
    expect(after.get(`page ${name}`)).toBeLessThanOrEqual(1.5 * (before.get(`page ${name}`) ?? 0) + 100)
  },
)

async function measure(costs: Map<string, number>): Promise<void> {
  const { pool } = database.db
  const isWhole = async () => {
    await rollUsage(database.db)
    return (await pool.query('select from usage_state, usage_seq where rolled >= last_value')).rowCount === 1
  }
  await until(isWhole, { what: 'all to be counted' })
  await database.db.pool.query(
    'vacuum analyze predictions, outcomes, prediction_tags, requests, usage_totals, usage_state',
  )
  const from = new Date(Math.floor(now.getTime() / 86_400_000 - 3) * 86_400_000)
  const to = new Date(from.getTime() + 5 * 86_400_000)
  for (const by of usages) {
    const asked = { accountId, from, to, hourly: by === 'hour', by }
    costs.set(`usage ${by}`, await costOf((db) => readUsage(db, asked)))
  }
  for (const [name, filter] of Object.entries(filters)) {
    const cost = await costOf(async (db) => {
      // Without what is counted for the number of pages, which has a limit of its own.
      const { rows } = await findActivity(db, { accountId, tags: {}, ...filter }, { size: 15 })
      expect(rows.length, name).toBeGreaterThan(0)
    })
    costs.set(`page ${name}`, cost)
  }
}

/** The buffers that the statements of `work` touch, by Postgres' own account; those that count are left out. */
async function costOf(work: (db: Database) => Promise<unknown>): Promise<number> {
  const db = connect({ url: database.url, max: 1, name: 'millrace-test' })
  let buffers = 0
  db.pool.on('connect', (client) => {
    client.on('notice', ({ message = '' }) => {
      const plan = /plan:\s*(\{[\s\S]*\})/.exec(message)?.[1]
      if (!plan) return
      const { 'Query Text': text, Plan } = JSON.parse(plan)
      if (!text.includes('as kept')) buffers += Plan['Shared Hit Blocks'] + Plan['Shared Read Blocks']
    })
  })
  await db.pool.query(
    `load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_analyze = on;
     set auto_explain.log_buffers = on; set auto_explain.log_format = json; set auto_explain.log_level = notice`,
  )
  await work(db)
  await db.close()
  return buffers
}

/** Ended predictions and calls in even parts, within the last two days, the later ones newer. */
async function fill({ pool }: Database, from: number, to: number): Promise<void> {
  const client = await pool.connect()
  await client.query(`set synchronous_commit = off; set lock_timeout = '30s'`)
  await client.query(
    `create table seeds as
     select encode(decode(lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0')
                          || '8' || substr(md5(n::text), 1, 15), 'hex'), 'hex')::uuid as id, n, at
     from generate_series($1::integer + 1, $2::integer) n,
          lateral (select date_trunc('milliseconds', $3::timestamptz) - interval '1 hour' + n * interval '100 ms' as at) as times`,
    [from, to, now],
  )
  await client.query(
    `insert into predictions (id, account_id, key_id, request_id, model, model_type, status, attempt, source, input, output, error,
                              error_id, tags, timeouts, created_at, updated_at, started_at, completed_at)
     select id, $1, case when n = 10 then $2::uuid else $3::uuid end, case when n <= 100 then 'theirs-' || n else 'req_x' end,
            case when n % 4 = 0 then 'echo' else 'doodle' end, 'text', case when n % 10 < 8 then 'succeeded' else 'failed' end, 1,
            'api', '{}', case when n % 10 < 8 then '"x"'::json end, case when n % 10 >= 8 then 'x' end,
            case when n % 10 >= 8 then 'MODEL_ERROR' end, '{"team":"red"}', '{"start":600,"run":600}', at, at, at, at
     from seeds where n % 2 = 0 or n < 20 order by at`,
    [accountId, rareKey, commonKey],
  )
  await client.query(
    `insert into outcomes (account_id, prediction_id, status, model)
     select account_id, p.id, status, model from predictions p join seeds using (id) order by id`,
  )
  await client.query(
    `insert into prediction_tags (account_id, name, value, prediction_id)
     select account_id, 'team', 'red', p.id from predictions p join seeds using (id) order by id`,
  )
  await client.query(
    `insert into requests (id, account_id, key_id, request_id, surface, model, stream, status, http_status, duration_ms, started_at,
                           ended_at, seq)
     select id, $1, $2, 'req_x', 'chat', 'parrot', false, 'succeeded', 200, 5, at, at, next_usage_seq()
     from seeds where n % 2 = 1 order by at`,
    [accountId, commonKey],
  )
  await client.query('drop table seeds')
  client.release(true)
}
