import { createKeyRing } from '@millrace/accounts/api-keys'
import { keepCallers } from '@millrace/api/callers'
import { connect, type Database } from '@millrace/database/connect'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startApiHere } from './api-here.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

let service: Service
beforeAll(async () => {
  service = await startService({ queue: 'redis', apis: 0, workers: 0, dispatchers: 0 })
})
afterAll(() => service.stop())

test('a hundred chats at once cost one look-up of their key, and their rows are written together', async () => {
  const api = await startApiHere(service)
  onTestFinished(api.close)
  const statements = listenTo(api.context.db)
  const begun = performance.now()

  const replies = await Promise.all(Array.from({ length: 100 }, () => chat(api.url)))
  await until(async () => (await endedCount()) === 100, { what: 'the rows of the chats' })

  expect(new Set(replies)).toEqual(new Set([200]))
  const tenths = Math.ceil((performance.now() - begun) / 100)
  const named = (name: string) => statements.filter((statement) => statement === name).length
  // What is done by the clock and not by the chat: rows ten times a second, keys in use and their money twice, hosts once,
  // and once a minute when a key was used.
  expect(named('find-callers')).toBeLessThanOrEqual(1 + Math.ceil(tenths / 5))
  expect(named('write-requests')).toBeLessThanOrEqual(1 + tenths)
  expect(named('read-balances')).toBeLessThanOrEqual(1 + Math.ceil(tenths / 5))
  expect(named('read-hosts')).toBeLessThanOrEqual(1 + Math.ceil(tenths / 10))
  expect(named('note-key-uses')).toBeLessThanOrEqual(1)
  const byTheClock = ['find-callers', 'read-balances', 'write-requests', 'read-hosts', 'requests-alive']
  const known = new Set([...byTheClock, 'note-key-uses'])
  expect(statements.filter((statement) => !known.has(statement))).toEqual([])
})

test('a key in use is looked up again before its second is over, and nobody waits for that', async () => {
  const { callers, database } = givenCallers()
  expect(await callers.of(service.apiKey)).toMatchObject({ accountId: service.accountId })
  await until(() => database.statements.length >= 4, { what: 'look-ups in the background' })

  database.hang()

  expect(await callers.of(service.apiKey)).toMatchObject({ accountId: service.accountId })
})

test('what cannot be looked up again is not believed for more than a second', async () => {
  const { callers, database } = givenCallers()
  await callers.of(service.apiKey)
  database.hang()
  const patience = () => new Promise((resolve) => setImmediate(resolve, 'waits'))
  const known = () => Promise.race([callers.of(service.apiKey), patience()])
  expect(await known()).toMatchObject({ accountId: service.accountId })

  await until(async () => (await known()) === 'waits', { within: 1_500, what: 'the key to be looked up' })
})

test('a key that nobody uses is not looked up, nor one that is nobody’s', async () => {
  const { callers, database } = givenCallers()
  expect(await callers.of(`${service.apiKey.slice(0, -1)}!`)).toBeUndefined()
  expect(database.statements).toEqual([])
})

async function chat(url: string): Promise<number> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'x-api-key': service.apiKey, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'parrot', messages: [{ role: 'user', content: 'a mill' }] }),
  })
  await response.arrayBuffer()
  return response.status
}

async function endedCount(): Promise<number> {
  const { rows } = await service.db.pool.query<{ count: number }>(
    `select count(*)::integer as count from requests where status = 'succeeded'`,
  )
  return rows[0]?.count ?? 0
}

/** The names of the statements from now on, else their text. */
function listenTo({ pool }: Database): string[] {
  const statements: string[] = []
  const query = pool.query.bind(pool)
  const connectTo = pool.connect.bind(pool)
  const heard = (...[statement, ...rest]: Parameters<typeof query>) => {
    statements.push(typeof statement === 'string' ? statement : nameOf(statement))
    return query(statement, ...rest)
  }
  Object.assign(pool, {
    query: heard,
    connect: (...given: unknown[]) => {
      // With a callback it is the pool's own, for a statement that is counted already.
      if (given.length === 0) statements.push('a connection')
      return Reflect.apply(connectTo, pool, given)
    },
  })
  return statements
}

function nameOf(statement: object): string {
  if ('name' in statement && typeof statement.name === 'string') return statement.name
  return 'text' in statement ? String(statement.text) : 'unknown'
}

/** Callers of their own, over a database that can be told to answer no more. */
function givenCallers() {
  const db = connect({ url: service.environment.DATABASE_URL ?? '', name: 'millrace-test' })
  const statements = listenTo(db)
  const callers = keepCallers(db, createKeyRing(service.masterKey))
  onTestFinished(async () => {
    callers.close()
    await db.close()
  })
  const hang = () => void Object.assign(db.pool, { query: () => new Promise(() => undefined) })
  return { callers, database: { statements, hang } }
}
