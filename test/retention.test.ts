import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { connect } from '@millrace/database/connect'
import { dumpDatabase } from '@millrace/database/dump'
import { idFloor, newId } from '@millrace/database/ids'
import { partitionedTables } from '@millrace/database/partitions'
import { createPurge } from '@millrace/dispatcher/sweep/purge'
import { accept } from '@millrace/lifecycle/accept'
import { begin } from '@millrace/lifecycle/begin'
import { claim } from '@millrace/lifecycle/claim'
import { listDeliveries } from '@millrace/lifecycle/deliveries'
import { appendEvents, readEvents } from '@millrace/lifecycle/events'
import { findPrediction } from '@millrace/lifecycle/find'
import { listPredictions } from '@millrace/lifecycle/list'
import { hide } from '@millrace/lifecycle/remove'
import { settle } from '@millrace/lifecycle/settle'
import { openStore } from '@millrace/storage/store'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { draft } from './given-predictions.ts'
import { dispatching, givenAccount, givenSucceeded, lifecycleOf } from './given-webhooks.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { startReceiver } from './harness/receiver.ts'
import { until } from './harness/wait.ts'

let database: FreshDatabase
let account: string
let folder: string
beforeEach(async () => {
  database = await freshDatabase()
  account = await givenAccount(database.db)
  folder = await mkdtemp(join(tmpdir(), 'millrace-retention-'))
})
afterEach(async () => {
  await database.drop()
  await rm(folder, { recursive: true, force: true })
})

test.each([
  ['a turn takes one batch after the other until all that is too old has gone', 60_000, [450]],
  ['a turn whose time is over leaves the rest to the next one', 0, [200, 200, 50]],
])('%s', async (_, turnMs, expected) => {
  await givenPartitions('day', 100)
  await givenEnded(100, 450)
  const purge = purging({ turnMs })

  const removed: unknown[] = []
  for (let done = await purge(); done?.aged; done = await purge()) removed.push(done.aged)

  expect(removed).toEqual(expected)
})

test('values are emptied window by window in one turn, also those that grow old later', async () => {
  await givenPartitions('day', 40)
  await givenEnded(40, 450)
  const purge = purging({ turnMs: 60_000 })

  expect(await purge()).toMatchObject({ values: 450 })
  await givenEnded(40, 5)
  expect(await purge(), 'a walk rests a minute').toBeUndefined()
  expect(await purging()()).toMatchObject({ values: 5 })
})

describe('a partition that is older than any row is kept', () => {
  test.each([
    ['day', 100],
    ['month', 200],
  ] as const)('goes from every table once a %s is purged', async (width, daysAgo) => {
    const names = await givenPartitions(width, daysAgo)
    await givenEnded(daysAgo, 10)

    expect(await purging()()).toMatchObject({ aged: 10, partitions: partitionedTables.length })

    expect(await tablesNamed(names)).toEqual([])
  })

  test.each(partitionedTables)('stays in every table while %s has one row of that time', async (table) => {
    const names = await givenPartitions('day', 100)
    await givenRow(table, 100)

    expect(await purging()()).toBeUndefined()
    expect(await tablesNamed(names)).toEqual(names)

    await database.db.pool.query(`delete from runs; delete from ${table}`)
    expect(await purging()()).toMatchObject({ partitions: names.length })
  })

  test('goes a day after its last row could have gone, and not before', async () => {
    const names = await givenPartitions('day', 91)
    expect(await purging({ rowDays: 90 })()).toBeUndefined()
    expect(await tablesNamed(names)).toEqual(names)
    expect(await purging({ rowDays: 89 })()).toMatchObject({ partitions: names.length })
  })
})

describe('a removal that was cut off is gone on with', () => {
  test('after somebody read the table for long', async () => {
    const names = await givenPartitions('day', 100)
    const reader = await database.db.pool.connect()
    await reader.query('begin isolation level repeatable read')
    await reader.query('select from predictions')

    await purging()()
    expect(await tablesNamed(names)).toContain(names.find(isOfPredictions))
    expect(await reader.query('select from predictions')).toMatchObject({ rowCount: 0 })
    await reader.query('commit')
    reader.release()

    expect(await purging()()).toMatchObject({ partitions: expect.any(Number) })
    expect(await tablesNamed(names)).toEqual([])
  })

  test('when it was detached, and meanwhile it is in no backup', async () => {
    const name = (await givenPartitions('day', 100)).find(isOfPredictions) ?? ''
    await database.db.pool.query(`alter table predictions detach partition ${name}`)

    const { tables } = await dumpDatabase(database.url, folder)
    expect(tables.map((table) => table.name)).not.toContain(name)

    expect(await purging()()).toMatchObject({ partitions: partitionedTables.length })
  })

  test('when a row came into it at the last moment: that one keeps it', async () => {
    const names = await givenPartitions('day', 100)
    const name = names.find(isOfPredictions)
    const [id = ''] = await givenEnded(100, 1)
    await database.db.pool.query(`alter table predictions detach partition ${name}`)

    await purging()()

    expect(await tablesNamed(names)).toContain(name)
    expect(await findPrediction(database.db, account, id)).toMatchObject({ id })
  })
})

test('clients read and write meanwhile, with plans that they made before', async () => {
  const receiver = await startReceiver()
  await database.db.pool.query(`do $$ begin execute format('alter database %I set plan_cache_mode = force_generic_plan',
                                                           current_database()); end $$`)
  const daysAgo = [95, 96, 97, 98, 99, 100]
  const names = (await Promise.all(daysAgo.map((days) => givenPartitions('day', days)))).flat()
  const db = connect({ url: database.url, max: 8, name: 'millrace-test-clients' })
  const dispatch = dispatching(db)
  const stop = new AbortController()
  const lived = Array.from({ length: 4 }, () => 0)
  const clients = Promise.all(
    lived.map(async (_, client) => {
      for (; !stop.signal.aborted; lived[client] = (lived[client] ?? 0) + 1) await liveOnce(db, receiver.url)
    }),
  )
  /** Unless a client fails before. */
  const meanwhile = (condition: () => boolean | Promise<boolean>, what: string) =>
    Promise.race([clients, until(condition, { within: 60_000, what })])
  const allLived = (times: number) => () => lived.every((count) => count >= times)
  await meanwhile(allLived(10), 'plans for every statement')
  await givenEnded(100, 300)

  const purged = async () => {
    await purging({ turnMs: 0 })()
    return (await tablesNamed(names)).length === 0
  }
  await meanwhile(purged, 'the old partitions to go')

  await meanwhile(allLived(Math.max(...lived) + 10), 'more lives after it')
  stop.abort()
  await clients
  await dispatch.stop(10_000)
  await db.close()
  await receiver.close()
}, 240_000)

/** A prediction from its creation to its deletion, and everything that is read of one. */
async function liveOnce(db: FreshDatabase['db'], url: string): Promise<void> {
  const lifecycle = lifecycleOf(db)
  const made = draft({ accountId: account, model: newId(), webhook: { url, events: ['completed'] } })
  expect(await accept(lifecycle, [made])).toEqual([true])
  const [claimed] = await claim(lifecycle, { model: made.model, limit: 1, worker: 'a', leaseSeconds: 60 })
  if (!claimed) throw new Error('it could not be claimed')
  const fence = { id: claimed.id, attempt: claimed.attempt }
  expect(await begin(lifecycle, [fence])).toMatchObject([{ status: 'processing' }])
  await appendEvents(db, [{ ...fence, kind: 'log', data: 'a', batch: 1 }])
  expect(await settle(lifecycle, [{ verb: 'succeed', ...fence, output: '1', files: [] }])).toMatchObject([
    { status: 'succeeded' },
  ])
  expect(await findPrediction(db, account, made.id)).toMatchObject({ status: 'succeeded' })
  expect((await readEvents(db, made.id, 0, 100)).length).toBeGreaterThan(3)
  expect(
    (await listPredictions(db, { accountId: account, tags: {} }, { size: 5 })).rows.length,
  ).toBeGreaterThan(0)
  expect((await listDeliveries(db, made.id, { size: 5 })).rows).toHaveLength(1)
  await hide(db, account, made.id)
}

const isOfPredictions = (name: string) => name.startsWith('predictions_')
const dayMs = 86_400_000
const timeOf = (daysAgo: number): number => Date.now() - daysAgo * dayMs

function purging({ rowDays = 90, turnMs }: { rowDays?: number; turnMs?: number } = {}) {
  const store = openStore(pathToFileURL(join(folder, 'files')).href)
  const retention = { fileDays: 7, valueDays: 30, rowDays }
  return createPurge({ db: database.db, store, retention, ...(turnMs === undefined ? {} : { turnMs }) })
}

/** The partitions of the day or month so many days ago, as they were made at that time. Answers their names, sorted. */
async function givenPartitions(width: 'day' | 'month', daysAgo: number): Promise<string[]> {
  const moment = new Date(timeOf(daysAgo))
  const [year, month, day] = [moment.getUTCFullYear(), moment.getUTCMonth(), moment.getUTCDate()]
  const from = Date.UTC(year, month, width === 'day' ? day : 1)
  const to = width === 'day' ? from + dayMs : Date.UTC(year, month + 1, 1)
  const suffix = new Date(from)
    .toISOString()
    .slice(0, width === 'day' ? 10 : 7)
    .replaceAll('-', '')
  const names = partitionedTables.map((table) => `${table}_${suffix}`)
  for (const table of partitionedTables) {
    await database.db.pool.query(
      `create table ${table}_${suffix} partition of ${table} for values from ('${idFloor(from)}') to ('${idFloor(to)}')`,
    )
  }
  return names.sort()
}

async function tablesNamed(names: string[]): Promise<string[]> {
  const { rows } = await database.db.pool.query<{ name: string }>(
    `select relname::text as name from pg_class where relname = any($1) order by 1`,
    [names],
  )
  return rows.map(({ name }) => name).sort()
}

/** So many predictions that ended that long ago. */
async function givenEnded(daysAgo: number, count: number): Promise<string[]> {
  const model = await givenSucceeded(database.db, account)
  const { rows } = await database.db.pool.query<{ id: string }>(
    `insert into predictions (id, account_id, model, model_type, status, attempt, source, input, output, timeouts,
                              created_at, updated_at, started_at, completed_at)
     select overlay(gen_random_uuid()::text placing left(uuid_floor(moment)::text, 15) from 1 for 15)::uuid,
            account_id, model, model_type, status, attempt, source, input, output, timeouts, moment, moment, moment, moment
     from predictions, to_timestamp($2) as moment, generate_series(1, $3) where id = $1
     returning id`,
    [model, timeOf(daysAgo) / 1000, count],
  )
  return rows.map(({ id }) => id)
}

/** One row of that time that no purge removes: of predictions, an unfinished one. */
async function givenRow(table: (typeof partitionedTables)[number], daysAgo: number): Promise<void> {
  const id = idFloor(timeOf(daysAgo))
  const other = newId()
  await database.db.pool.query(
    {
      predictions: `with run as (
          insert into runs (prediction_id, account_id, model, pool, run_at, start_by)
          values ('${id}', '${account}', 'm', 'default', 'infinity', 'infinity'))
        insert into predictions (id, account_id, model, model_type, status, source, input, timeouts, created_at, updated_at)
        values ('${id}', '${account}', 'm', 'text', 'pending', 'api', '{}', '{}', now(), now())`,
      prediction_events: `insert into prediction_events values ('${id}', 1, 'status', 0, '{}', now())`,
      webhook_bodies: `insert into webhook_bodies values ('${id}', '')`,
      deliveries: `insert into deliveries (id, account_id, prediction_id, url, host, event, seq, body_id, due_at, created_at)
        values ('${id}', '${account}', '${other}', 'u', 'h', 'e', 1, '${other}', now(), now())`,
      delivery_attempts: `insert into delivery_attempts values ('${id}', 1, now(), 200, 1, '', null)`,
      requests: `insert into requests (id, account_id, request_id, surface, model, stream, status, started_at)
        values ('${id}', '${account}', 'r', 'chat', 'm', false, 'running', now())`,
    }[table],
  )
}
