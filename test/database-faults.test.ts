import { connect, together, transaction } from '@millrace/database/connect'
import { faultOf, isUnreachable } from '@millrace/database/faults'
import { expect, onTestFinished, test } from 'vitest'
import { callerOf } from './api-caller.ts'
import { startProxy } from './faults/tcp-proxy.ts'
import { freshDatabase } from './harness/database.ts'
import { startService } from './harness/service.ts'

test('a transaction whose connection is cut fails, and the process goes on with another', async () => {
  const { db, drop } = await freshDatabase()
  const cut = transaction(db, async (client) => {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    await Promise.all([
      client.query('select pg_sleep(30)'),
      db.pool.query('select pg_terminate_backend($1)', [rows[0]?.pid]),
    ])
  })

  const error = await cut.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )

  expect(isUnreachable(error)).toBe(true)
  expect((await db.pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  await drop()
})

test('a connection that is cut between two statements is no end of the process either', async () => {
  const { db, drop } = await freshDatabase()
  const cut = transaction(db, async (client) => {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    const ended = new Promise((resolve) => client.once('end', resolve))
    await db.pool.query('select pg_terminate_backend($1)', [rows[0]?.pid])
    await ended
    await client.query('select 1')
  })

  await expect(cut).rejects.toSatisfy(isUnreachable)
  await drop()
})

test('a connection whose other end is gone without a word is given up, also inside a transaction', async () => {
  const { url, drop } = await freshDatabase()
  const store = new URL(url)
  const proxy = await startProxy({ host: store.hostname, port: Number(store.port) })
  store.port = `${proxy.port}`
  const db = connect({ url: store.href, max: 1, name: 'half-open', patienceMs: 500 })
  await db.pool.query('select 1')
  proxy.cut('half-open')
  await expect(db.pool.query('select 1')).rejects.toSatisfy(isUnreachable)

  const cut = transaction(db, async (client) => {
    proxy.cut('half-open')
    await client.query('select 1')
  })

  await expect(cut).rejects.toSatisfy(isUnreachable)
  expect((await db.pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  await db.close()
  await proxy.close()
  await drop()
})

test('of statements that travel together the one that failed is told, and not those that it broke off', async () => {
  const { db, drop } = await freshDatabase()

  const done = transaction(db, (client) => {
    const late = client.query('select 1 / 0').then(async (answer) => answer)
    return together([late, client.query('select 1'), client.query('select 2')])
  })

  await expect(done).rejects.toMatchObject({ code: '22012' })
  await drop()
})

test('a create that finds the disk full is 503, and says when to ask again', async () => {
  const service = await startService({ queue: 'postgres', workers: 0, dispatchers: 0 })
  onTestFinished(() => service.stop())
  const { pool } = service.db
  const call = callerOf(service.url, service.apiKey)
  const create = () =>
    call('POST /v1/predictions', {
      body: { model: 'echo', input: {} },
      headers: { 'idempotency-key': 'sent again' },
    })
  await pool.query(`
    create function refused() returns trigger language plpgsql as $$
    begin
      raise 'could not extend file: No space left on device' using errcode = '53100';
    end $$;
    create trigger refused before insert on predictions for each row execute function refused()`)

  const { status, headers, body } = await create()

  expect({ status, id: body.error.error_id }).toEqual({ status: 503, id: 'SERVICE_UNAVAILABLE' })
  expect(headers.get('retry-after')).toMatch(/^\d+$/)
  await pool.query('drop trigger refused on predictions')
  expect((await create()).status).toBe(201)
  expect((await call('GET /v1/predictions')).body.pagination.total).toBe(1)
})

test.each([
  ['ECONNREFUSED', 'unreachable'],
  ['57P01', 'unreachable'],
  ['08006', 'unreachable'],
  ['53300', 'unreachable'],
  ['53100', 'unreachable'],
  ['25P03', 'unreachable'],
  ['ENOSPC', 'other'],
  ['EACCES', 'other'],
  ['ENOENT', 'other'],
  ['57014', 'unreachable'],
  ['25006', 'unreachable'],
  ['0A000', 'conflict'],
  ['42501', 'other'],
  ['40P01', 'conflict'],
  ['55P03', 'locked'],
  ['22P02', 'bad-row'],
])('%s is a fault of the kind %s', (code, fault) => {
  expect(faultOf(Object.assign(new Error('x'), { code }))).toBe(fault)
})
