import { endLostRequests } from '@millrace/activity/end-lost'
import { removeOldRequests } from '@millrace/activity/remove-old'
import { openRequestLog, type RequestLog } from '@millrace/activity/request-log'
import { findConversation, storeAnswer } from '@millrace/activity/stored-answers'
import { connect, type Database } from '@millrace/database/connect'
import { idFloor, newId } from '@millrace/database/ids'
import { createLog } from '@millrace/process/log'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { until } from './harness/wait.ts'

let database: FreshDatabase
let account: string
beforeAll(async () => {
  database = await freshDatabase()
  account = newId()
  await database.db.pool.query(`insert into accounts (id, name) values ($1, 'one')`, [account])
})
afterAll(() => database.drop())

function givenLog(db: Database = database.db): RequestLog {
  const log = openRequestLog({ db, log: createLog({ name: 'test', level: 'silent' }), partitions: 'month' })
  onTestFinished(() => log.close())
  return log
}

const begun = () => ({
  accountId: account,
  requestId: `req-${newId()}`,
  key: { id: newId(), name: 'laptop' },
  surface: 'chat' as const,
  model: 'parrot',
  stream: false,
})

async function rowOf(requestId: string) {
  const { rows } = await database.db.pool.query('select * from requests where request_id = $1', [requestId])
  return rows[0]
}

test('a call has a row while it runs, and the same row tells how it ended', async () => {
  const log = givenLog()
  const start = begun()
  const call = log.start(start)
  await until(async () => (await rowOf(start.requestId)) !== undefined, { what: 'the row of the call' })
  expect(await rowOf(start.requestId)).toMatchObject({
    status: 'running',
    key_name: 'laptop',
    ended_at: null,
    http_status: null,
  })

  call.end({
    status: 'succeeded',
    durationMs: 9,
    httpStatus: 200,
    servedModel: 'parrot',
    host: 'module',
    firstByteMs: 3,
    tokens: { input: 5, output: 7, estimated: true },
  })
  call.end({ status: 'failed', durationMs: 9, httpStatus: 500 })
  await log.flush()
  await log.flush()

  expect(await rowOf(start.requestId)).toMatchObject({
    status: 'succeeded',
    http_status: 200,
    input_tokens: 5,
    output_tokens: 7,
    estimated: true,
    first_byte_ms: 3,
    tries: null,
  })
})

test('what text a caller sends is no way to lose the rows of others', async () => {
  const log = givenLog()
  const starts = [begun(), { ...begun(), model: 'nul\u0000 and \ud800 alone' }, begun()]
  for (const start of starts)
    log.start(start).end({ status: 'failed', durationMs: 9, httpStatus: 404, failure: '\u0000' })
  const refused = { ...begun(), key: { id: 'no uuid', name: '' } }
  log.start(refused)
  await log.flush()

  for (const { requestId } of starts) expect(await rowOf(requestId)).toMatchObject({ http_status: 404 })
  expect(await rowOf(refused.requestId)).toBeUndefined()
})

test('rows wait for a database that is away', async () => {
  const db = connect({ url: database.url, name: 'millrace-test' })
  const log = givenLog({ ...db, pool: Object.assign(Object.create(db.pool), { query: fails }) } as Database)
  let away = true
  function fails(...statement: Parameters<Database['pool']['query']>) {
    if (away) return Promise.reject(Object.assign(new Error('gone'), { code: 'ECONNREFUSED' }))
    return db.pool.query(...statement)
  }
  onTestFinished(() => db.close())
  const start = begun()
  const call = log.start(start)
  await log.flush()
  call.end({ status: 'succeeded', durationMs: 9, httpStatus: 200 })
  await log.flush()
  away = false
  await until(async () => (await rowOf(start.requestId))?.status === 'succeeded', {
    what: 'the row of the call',
  })
})

test('a call whose process went away ends, and one that lasts does not', async () => {
  const [lost, alive] = [begun(), begun()]
  const log = givenLog()
  log.start(lost)
  log.start(alive)
  await log.flush()
  await log.flush()
  await database.db.pool.query(
    `update requests set started_at = started_at - interval '2 minutes',
       alive_at = case when request_id = $1 then clock_timestamp() end where request_id = any($2)`,
    [alive.requestId, [lost.requestId, alive.requestId]],
  )

  await endLostRequests(database.db)

  expect(await rowOf(lost.requestId)).toMatchObject({ status: 'failed', error_id: 'INTERNAL_ERROR' })
  expect(await rowOf(alive.requestId)).toMatchObject({ status: 'running' })
})

test('old calls go, and younger ones stay', async () => {
  const log = givenLog()
  const start = begun()
  log.start(start).end({ status: 'succeeded', durationMs: 9, httpStatus: 200 })
  await log.flush()
  await database.db.pool.query(
    `create table if not exists requests_old partition of requests
     for values from ('${idFloor(Date.UTC(2001, 0))}') to ('${idFloor(Date.UTC(2001, 1))}')`,
  )
  await database.db.pool.query(
    `insert into requests (id, account_id, request_id, surface, model, stream, status, started_at, ended_at)
     select overlay($1 placing lpad(n::text, 3, '0') from 34 for 3)::uuid, $2, 'old', 'chat', 'm', false, 'failed', now(), now()
     from generate_series(1, 5) n`,
    [idFloor(Date.UTC(2001, 0, 2)), account],
  )

  expect(await removeOldRequests(database.db, 90, 3)).toBe(3)
  expect(await removeOldRequests(database.db, 90, 3)).toBe(2)
  expect(await removeOldRequests(database.db, 90, 3)).toBe(0)
  expect(await rowOf(start.requestId)).toBeDefined()
})

test('a conversation is found from its last turn, oldest first, by its own account only', async () => {
  const turns = [newId(), newId(), newId()]
  for (const [at, id] of turns.entries()) {
    await storeAnswer(database.db, {
      id,
      accountId: account,
      surface: 'responses',
      model: 'parrot',
      previousId: turns[at - 1],
      request: { input: `turn ${at}` },
      answer: { output: [] },
      days: 1,
    })
  }
  const last = turns[2] ?? ''

  expect((await findConversation(database.db, account, last))?.map(({ id }) => id)).toEqual(turns)
  expect(await findConversation(database.db, newId(), last)).toBeUndefined()
  await database.db.pool.query('delete from stored_answers where id = $1', [turns[0]])
  expect(await findConversation(database.db, account, last)).toBeUndefined()
})
