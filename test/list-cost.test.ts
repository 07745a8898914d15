import { connect, type Database } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import type { Page } from '@millrace/database/page'
import { listPredictions } from '@millrace/lifecycle/list'
import type { ListFilter } from '@millrace/lifecycle/list-candidates'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'

const accountId = newId()
const other = newId()
const depth = 50_000
const size = 15

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
  await fill(database.db)
}, 120_000)
afterAll(() => database.drop())

/** The filter, and how many of the 120,000 it finds. The ended ones and the unfinished ones are of accounts of their own. */
const cases: [string, ListFilter, number][] = [
  ['no filter', { accountId, tags: {} }, 100_000],
  ['a model', { accountId, tags: {}, model: 'echo' }, 60_000],
  ['a terminal status', { accountId, tags: {}, statuses: ['succeeded'] }, 60_000],
  ['a terminal status and a model', { accountId, tags: {}, statuses: ['succeeded'], model: 'echo' }, 60_000],
  ['two terminal statuses', { accountId, tags: {}, statuses: ['succeeded', 'failed'] }, 100_000],
  ['a non-terminal status', { accountId: other, tags: {}, statuses: ['pending'] }, 100_000],
  ['a tag', { accountId, tags: { team: 'red' } }, 100_000],
  ['a tag and a model', { accountId, tags: { team: 'red' }, model: 'echo' }, 60_000],
  ['a tag and a terminal status', { accountId, tags: { team: 'red' }, statuses: ['succeeded'] }, 60_000],
  ['dates', { accountId, tags: {}, from: new Date(0), to: new Date(Date.now() + 1e9) }, 100_000],
]

describe.each(cases)('among 200,000 predictions, by %s', (_, filter, matching) => {
  test('the page 50,000 deep costs what the first one costs, and no table is read from end to end', async () => {
    const reference = await idsOf(filter)
    expect(reference).toHaveLength(matching)
    const first = await costOf(filter, { size, offset: 0 })
    const deep = await costOf(filter, { size, after: reference[depth - 1] ?? '' })
    const back = await costOf(filter, { size, before: reference[depth + size] ?? '' })

    expect(first.ids).toEqual(reference.slice(0, size))
    expect(deep.ids).toEqual(reference.slice(depth, depth + size))
    expect(back.ids).toEqual(reference.slice(depth, depth + size))
    for (const page of [deep, back]) expect(page.buffers).toBeLessThanOrEqual(2 * first.buffers)
    for (const page of [first, deep, back]) expect(page.scanned).toEqual([])
  })

  test('the total is counted to 10,000', async () => {
    expect(await listPredictions(database.db, filter, { size, offset: 0 })).toMatchObject({
      total: 10_000,
      capped: true,
    })
  })
})

test('walking 3,000 rows by cursor returns each once, forward and back', async () => {
  const filter = { accountId, tags: {}, from: await createdAt(3_000) }
  const wanted = (await idsOf({ accountId, tags: {} })).slice(0, 3_000)

  const forward: string[] = []
  for (let page: Page = { size: 50, offset: 0 }; ; ) {
    const found = await listPredictions(database.db, filter, page)
    forward.push(...found.rows.map(({ id }) => id))
    if (!found.older) break
    page = { size: 50, after: forward.at(-1) ?? '' }
  }
  const back: string[] = []
  for (let newest = forward.at(-1) ?? ''; ; newest = back[0] ?? '') {
    const found = await listPredictions(database.db, filter, { size: 50, before: newest })
    back.unshift(...found.rows.map(({ id }) => id))
    if (!found.newer) break
  }

  expect(forward).toEqual(wanted)
  expect(back).toEqual(wanted.slice(0, -1))
})

/** What one list call costs by Postgres' own account: its buffers, and the tables that it read from end to end. */
async function costOf(filter: ListFilter, page: Page): Promise<Cost> {
  const db = connect({ url: database.url, max: 1, name: 'millrace-test' })
  const plans: Plan[] = []
  db.pool.on('connect', (client) => {
    client.on('notice', ({ message = '' }) => {
      const plan = /plan:\s*(\{[\s\S]*\})/.exec(message)?.[1]
      if (plan) plans.push(JSON.parse(plan).Plan)
    })
  })
  await db.pool.query(
    `load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_analyze = on;
     set auto_explain.log_buffers = on; set auto_explain.log_format = json; set auto_explain.log_level = notice`,
  )
  const { rows } = await listPredictions(db, filter, page)
  await db.close()
  const nodes = plans.flatMap(nodesOf)
  return {
    ids: rows.map(({ id }) => id),
    buffers: plans.reduce((sum, plan) => sum + plan['Shared Hit Blocks'] + plan['Shared Read Blocks'], 0),
    scanned: nodes.flatMap((node) =>
      node['Node Type'] === 'Seq Scan' && node['Actual Loops'] > 0 ? [node['Relation Name']] : [],
    ),
  }
}

function nodesOf(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)]
}

/** All ids that a filter finds, newest first, without any of the code under test. */
async function idsOf({ accountId: account, model, statuses, tags }: ListFilter): Promise<string[]> {
  const { rows } = await database.db.pool.query<{ id: string }>(
    `select id from predictions where account_id = $1 and model = coalesce($2, model)
       and ($3::text[] is null or status = any($3)) and ($4::text is null or tags ->> 'team' = $4)
     order by id desc`,
    [account, model ?? null, statuses ?? null, tags.team ?? null],
  )
  return rows.map(({ id }) => id)
}

async function createdAt(nth: number): Promise<Date> {
  const { rows } = await database.db.pool.query<{ created_at: Date }>(
    'select created_at from predictions where account_id = $1 order by id desc limit 1 offset $2',
    [accountId, nth - 1],
  )
  return rows[0]?.created_at ?? new Date(0)
}

/**
 * 100,000 ended predictions of one account, three in five of them succeeded `echo`s, and 100,000 pending ones of
 * another, a second apart, with the rows that the lifecycle writes beside them.
 */
async function fill({ pool }: Database): Promise<void> {
  const client = await pool.connect()
  await client.query(`set synchronous_commit = off; set lock_timeout = '30s'`)
  await client.query(
    `create table seeds as
     select encode(decode(lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0')
                          || '8' || substr(md5(n || account::text), 1, 15), 'hex'), 'hex')::uuid as id,
            account, at, n, ended, ended and n % 5 < 3 as succeeded
     from (values ($1::uuid, true), ($2::uuid, false)) as accounts (account, ended),
          generate_series(1, 100000) as n,
          lateral (select date_trunc('milliseconds', clock_timestamp()) - interval '1 hour' + n * interval '10 ms' as at) as times`,
    [accountId, other],
  )
  await client.query(
    `insert into predictions (id, account_id, model, model_type, status, attempt, source, input, output, error, error_id,
                              tags, timeouts, created_at, updated_at, started_at, completed_at)
     select id, account, case when n % 5 < 3 then 'echo' else 'doodle' end, 'text',
            case when not ended then 'pending' when succeeded then 'succeeded' else 'failed' end, ended::integer, 'api', '{}',
            case when succeeded then '"x"'::json end, case when ended and not succeeded then 'x' end,
            case when ended and not succeeded then 'MODEL_ERROR' end, '{"team":"red"}', '{"start":600,"run":600}', at, at,
            case when ended then at end, case when ended then at end
     from seeds order by at`,
  )
  await client.query(
    `insert into outcomes (account_id, prediction_id, status, model)
     select account_id, id, status, model from predictions where completed_at is not null order by id`,
  )
  await client.query(
    `insert into runs (prediction_id, account_id, model, pool, run_at, start_by)
     select id, account_id, model, 'default', created_at, created_at from predictions where completed_at is null order by id`,
  )
  await client.query(
    `insert into prediction_tags (account_id, name, value, prediction_id)
     select account_id, 'team', 'red', id from predictions order by id`,
  )
  await client.query('drop table seeds')
  // By name: the catalogues that all databases share may be locked by the test of a neighbour.
  await client.query('vacuum analyze predictions, outcomes, prediction_tags')
  client.release(true)
}

interface Cost {
  ids: string[]
  buffers: number
  scanned: string[]
}

interface Plan {
  'Node Type': string
  'Relation Name': string
  'Actual Loops': number
  'Shared Hit Blocks': number
  'Shared Read Blocks': number
  Plans?: Plan[]
}
