import { connect, transaction } from '@millrace/database/connect'
import { faultOf, isUnreachable } from '@millrace/database/faults'
import { expect, test } from 'vitest'
import { startProxy } from './faults/tcp-proxy.ts'
import { freshDatabase } from './harness/database.ts'

test('a transaction whose connection is cut fails, and the process goes on with another', async () => {
  const { db, drop } = await freshDatabase()
  const cut = transaction(db, async (client) => {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    const sleeping = client.query('select pg_sleep(30)')
    await db.pool.query('select pg_terminate_backend($1)', [rows[0]?.pid])
    await sleeping
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

test.each([
  ['ECONNREFUSED', 'unreachable'],
  ['57P01', 'unreachable'],
  ['08006', 'unreachable'],
  ['53300', 'unreachable'],
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
