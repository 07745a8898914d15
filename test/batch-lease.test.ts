import { createBatch } from '@millrace/batches/batches'
import { type HeldBatch, renewBatch, takeBatches } from '@millrace/batches/hold-batches'
import type { Database } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { expect, onTestFinished, test } from 'vitest'
import { freshDatabase } from './harness/database.ts'
import { until } from './harness/wait.ts'

test('a batch that is asked after again and again is written once in a third of its lease', async () => {
  const { db, held } = await given()
  const written = await versionOf(db, held)
  for (let n = 0; n < 3; n += 1) expect(await renewBatch(db, held)).toEqual(held)
  expect(await versionOf(db, held)).toBe(written)

  await leaseEndsIn(db, held, 9)
  const renewed = await renewBatch(db, held)
  expect(renewed).toMatchObject({ id: held.id, worker: held.worker, late: false })
  expect(renewed?.lease_until?.getTime()).toBeGreaterThanOrEqual(held.lease_until?.getTime() ?? Number.NaN)
})

test('what another process writes into a batch is seen without a write of its own', async () => {
  const { db, held } = await given()
  await db.pool.query('update batches set completed = 7 where id = $1', [held.id])
  expect(await renewBatch(db, held)).toMatchObject({ completed: 7 })
})

test('a batch whose lease ended is held on to, unless it is somebody else’s by now', async () => {
  const { db, held } = await given()
  await leaseEndsIn(db, held, -1)
  expect(await renewBatch(db, held)).toMatchObject({ id: held.id })

  await leaseEndsIn(db, held, -1)
  const [taken] = await takeBatches(db, 'another', 1)
  expect(taken?.id).toBe(held.id)
  expect(await renewBatch(db, held)).toBeUndefined()
})

test('a batch that is being taken over while it is renewed is not held any more', async () => {
  const { db, held } = await given()
  await leaseEndsIn(db, held, -1)
  const taker = await db.pool.connect()
  try {
    await taker.query('begin')
    await taker.query(
      `update batches set worker = 'another', lease_until = clock_timestamp() + interval '15 s' where id = $1`,
      [held.id],
    )
    const renewed = renewBatch(db, held)
    await until(() => waitsForALock(db), { what: 'the renewal to wait for the taker' })
    await taker.query('commit')
    expect(await renewed).toBeUndefined()
  } finally {
    taker.release()
  }
})

async function given(): Promise<{ db: Database; held: HeldBatch }> {
  const { db, drop } = await freshDatabase()
  onTestFinished(drop)
  const accountId = newId()
  await db.pool.query('insert into accounts (id, name) values ($1, $2)', [accountId, 'one'])
  await createBatch(db, {
    accountId,
    endpoint: null,
    inputFileId: newId(),
    completionWindow: '24h',
    metadata: {},
  })
  const [held] = await takeBatches(db, 'one', 1)
  if (!held) throw new Error('The batch was not taken')
  return { db, held }
}

async function leaseEndsIn(db: Database, { id }: HeldBatch, seconds: number): Promise<void> {
  await db.pool.query(
    'update batches set lease_until = clock_timestamp() + make_interval(secs => $2) where id = $1',
    [id, seconds],
  )
}

/** Another one after every write. */
async function versionOf(db: Database, { id }: HeldBatch): Promise<unknown> {
  const { rows } = await db.pool.query('select xmin::text as version from batches where id = $1', [id])
  return rows[0].version
}

async function waitsForALock(db: Database): Promise<boolean> {
  const { rows } = await db.pool.query(
    `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  )
  return rows.length > 0
}
