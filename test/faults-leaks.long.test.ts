import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newId } from '@millrace/database/ids'
import { settle } from '@millrace/lifecycle/settle'
import { serveHealth } from '@millrace/process/health-server'
import { createLog } from '@millrace/process/log'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type History, openHistory } from './faults/history.ts'
import { judge } from './faults/judge.ts'
import { inputOf, type LeakWatch, listenToRedis, recordLeaks, secretsIn } from './faults/leaks.ts'
import { type Client, cancel, create, get, remove, walk } from './faults/load.ts'
import { seeded } from './faults/seeded.ts'
import { givenPrediction, lifecycleOn } from './given-predictions.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { startReceiver } from './harness/receiver.ts'
import { freshRedis } from './harness/redis.ts'
import { until } from './harness/wait.ts'

const secret = 'sk-mr-planted?where it "should not" be'
const words = 'words of an input'
const secrets = { 'the key': secret, 'another key': 'nobody ever tells this one', [inputOf]: words }

let folder: string
let history: History
let database: FreshDatabase
let redis: LeakWatch
let client: Redis

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-leaks-'))
  history = openHistory(join(folder, 'history.ndjson'))
  database = await freshDatabase()
  redis = await listenToRedis(freshRedis().url, secrets)
  client = new Redis(freshRedis().url)
})

afterEach(async () => {
  redis.stop()
  client.disconnect()
  await database.drop()
  await history.close()
  await rm(folder, { recursive: true, force: true })
})

test('where nothing was told, nothing is found', async () => {
  expect(await breaches({})).toEqual([])
})

test('a secret in a log is found', async () => {
  const line = JSON.stringify({ level: 'info', msg: `called with ${secret}` })
  expect(await breaches({ log: line })).toEqual([found('the log of api-1')])
})

test('a secret in the metrics is found', async () => {
  const metrics = `requests_total{key="${secret}"} 1`
  expect(await breaches({ metrics })).toEqual([found('the metrics of api-1')])
})

test('a secret in an error is found', async () => {
  const create = { is: 'create', key: 'key-1', asked: 1, body: '{}', status: 503, ms: 1 } as const
  history.record({ ...create, retryAfter: true, error: `{"detail":${JSON.stringify(secret)}}` })
  expect(await breaches({})).toEqual([found('an error')])
})

test.each<[string, (client: Client) => Promise<unknown>]>([
  ['a create', (client) => create(client, { model: 'echo', input: {} }, 'key-1')],
  ['a look', (client) => get(client, 'pred_1')],
  ['a cancel', (client) => cancel(client, 'pred_1')],
  ['a delete', (client) => remove(client, 'pred_1')],
  ['a page of the list', (client) => walk(client)],
])('a secret in the message of an error that %s is answered with is found', async (_what, ask) => {
  const api = await startReceiver({
    status: 400,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ error: { error_id: 'INVALID_INPUT', message: `"${words}" is no ${secret}` } }),
  })
  try {
    await ask({ urls: [api.url.replace(/\/$/, '')], apiKey: 'a-key', history, random: seeded(1) })
  } finally {
    await api.close()
  }
  expect(await breaches({})).toEqual([found('an error'), `no secret is told: ${inputOf} in an error`])
})

test('a secret that passes through Redis is found, though it is gone at once', async () => {
  const key = `${freshRedis().prefix}:job`
  await client
    .multi()
    .set(key, JSON.stringify({ input: secret }))
    .del(key)
    .exec()
  await until(() => redis.found().length > 0, { what: 'the command to be seen' })
  expect(await breaches({})).toEqual([found('Redis')])
})

test('a secret in a table of the queue is found', async () => {
  await database.db.pool.query('create schema if not exists bullmq')
  await database.db.pool.query('create table bullmq.planted (data jsonb)')
  await database.db.pool.query('insert into bullmq.planted values ($1)', [JSON.stringify({ deep: [secret] })])
  expect(await breaches({})).toEqual([found('the queue tables')])
})

test.each<[string, (text: string) => Promise<unknown>]>([
  ['the errors of predictions', failWith],
  ['the logs of runs', (text) => insert('prediction_events', [newId(), 1, 'log', 1, text, new Date()])],
  ['the results of deliveries', (text) => tried({ response: text, error: null })],
  ['the results of deliveries', (text) => tried({ response: '', error: text })],
])("a secret in %s is found, and an input's own words are no secret there", async (where, store) => {
  await store(`here are ${words}`)
  expect(await breaches({})).toEqual([])
  await store(`here is ${secret}`)
  expect(await breaches({})).toEqual([found(where)])
})

test.each([
  ['as JSON', JSON.stringify(secret)],
  ['in an address', `/v1/predictions?key=${encodeURIComponent(secret)}`],
  ['as hex', Buffer.from(secret).toString('hex')],
  ['as base64', Buffer.from(secret).toString('base64')],
  ['as the base64 of a longer text', Buffer.from(`${secret}, and more`).toString('base64')],
])('a secret is found %s', (_how, text) => {
  expect(secretsIn(`before ${text} after`, secrets)).toEqual(['the key'])
})

const found = (where: string) => `no secret is told: the key in ${where}`

async function failWith(error: string): Promise<void> {
  const { id, attempt } = await givenPrediction(database.db, 'processing')
  await settle(lifecycleOn(database.db), [{ id, attempt, verb: 'fail', error, errorId: 'MODEL_ERROR' }])
}

/** A delivery whose first attempt left this. */
async function tried(attempt: { response: string; error: string | null }): Promise<void> {
  const [id, other] = [newId(), newId()]
  const at = new Date()
  const made = { 1: { at, status_code: 200, duration_ms: 1, ...attempt } }
  const values = [id, other, other, null, 'url', 'host', 'event', 1, other, 'due', 1, at, null, at, null]
  await insert('deliveries', [...values, JSON.stringify(made)])
}

async function insert(table: string, values: unknown[]): Promise<void> {
  const places = values.map((_value, nth) => `$${nth + 1}`)
  await database.db.pool.query(`insert into ${table} values (${places})`, values)
}

/** What the judge says of a process with this log and these metrics, and of all else that was told before. */
async function breaches({ log = '', metrics = '' }: { log?: string; metrics?: string }): Promise<string[]> {
  const health = await serveHealth({
    port: 0,
    ready: () => true,
    metrics: async () => metrics,
    log: createLog({ name: 'test', level: 'silent' }),
  })
  const present = async () => ({ healthUrl: `http://127.0.0.1:${health.port}` })
  try {
    const processes = [{ name: 'api-1', log: () => log, present }]
    await recordLeaks({ history, secrets, redis, db: database.db, processes })
  } finally {
    await health.close()
  }
  return judge(history.entries)
}
