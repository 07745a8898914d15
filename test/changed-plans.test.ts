import { connect, type Database, transaction } from '@millrace/database/connect'
import { retryConflicts } from '@millrace/database/faults'
import { claim } from '@millrace/lifecycle/claim'
import { findPrediction } from '@millrace/lifecycle/find'
import { listPredictions } from '@millrace/lifecycle/list'
import { hide } from '@millrace/lifecycle/remove'
import { settle } from '@millrace/lifecycle/settle'
import type pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { endings, givenPrediction, lifecycleOn } from './given-predictions.ts'
import { freshDatabase } from './harness/database.ts'

// A migration adds columns while processes of the release before it are connected, and have prepared their statements.

test('no statement about predictions has to be prepared anew because a column came', async () => {
  const db = await givenDatabase(1)
  await useAll(db)
  const prepared = await preparedStatements(db)

  for (const table of ['predictions', 'runs', 'outcomes', 'webhook_endpoints']) await addColumn(db, table)
  await useAll(db)

  expect(prepared).toContain('claim')
  expect(prepared).toContain('find-prediction')
  expect(await preparedStatements(db)).toEqual(expect.arrayContaining(prepared))
})

test('a statement that answers another shape by now is prepared anew, on whichever connection it was', async () => {
  const db = await givenDatabase()
  await onEveryConnection(db, (client) => client.query(allAccounts))

  await addColumn(db, 'accounts')

  const { fields } = await db.pool.query(allAccounts)
  expect(fields.map(({ name }) => name)).toContain('of_a_later_release')
})

test('a transaction whose statement answers another shape by now is done again, on another connection', async () => {
  const db = await givenDatabase()
  await onEveryConnection(db, (client) => client.query(allAccounts))
  await addColumn(db, 'accounts')
  const begun: number[] = []

  const { fields } = await retryConflicts(() =>
    transaction(db, async (client) => {
      begun.push(await pidOf(client))
      return await client.query(allAccounts)
    }),
  )

  expect(fields.map(({ name }) => name)).toContain('of_a_later_release')
  expect(new Set(begun).size).toBe(begun.length)
})

const allAccounts = { name: 'all-accounts', text: 'select * from accounts', values: [] }

/** What a worker and an api do with a prediction. */
async function useAll(db: Database): Promise<void> {
  const lifecycle = lifecycleOn(db)
  const given = await givenPrediction(db, 'processing', { tags: { team: 'red' } })
  const { accountId, model } = given.draft
  expect(await claim(lifecycle, { model, limit: 1, worker: 'another', leaseSeconds: 60 })).toEqual([])
  expect(await findPrediction(db, accountId, given.id)).toMatchObject({ id: given.id, model })
  const { succeeded } = endings(given)
  expect(await settle(lifecycle, succeeded ? [succeeded] : [])).toMatchObject([{ status: 'succeeded' }])
  const { rows } = await listPredictions(db, { accountId, tags: {} }, { size: 10 })
  expect(rows).toMatchObject([{ id: given.id }])
  expect(await hide(db, accountId, given.id)).toBe(true)
}

async function givenDatabase(max = 3): Promise<Database> {
  const { url, drop } = await freshDatabase()
  const db = connect({ url, max, name: 'millrace-test' })
  onTestFinished(async () => {
    await db.close()
    await drop()
  })
  return db
}

async function addColumn({ pool }: Database, table: string): Promise<void> {
  await pool.query(`alter table ${table} add column of_a_later_release text not null default 'new'`)
}

/** Every connection that the pool can have does `work`. */
async function onEveryConnection(
  { pool }: Database,
  work: (client: pg.PoolClient) => Promise<unknown>,
): Promise<void> {
  const clients = await Promise.all(Array.from({ length: pool.options.max }, () => pool.connect()))
  await Promise.all(clients.map(work))
  for (const client of clients) client.release()
}

async function preparedStatements({ pool }: Database): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>('select name from pg_prepared_statements order by name')
  return rows.map(({ name }) => name)
}

async function pidOf(client: pg.PoolClient): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  return rows[0]?.pid ?? 0
}
