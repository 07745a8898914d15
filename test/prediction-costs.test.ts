import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { connect, type Database } from '@millrace/database/connect'
import { migrate } from '@millrace/database/migrate'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@millrace/standalone/embedded-postgres'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callerOf } from './api-caller.ts'
import type { FreshDatabase } from './harness/database.ts'
import { type Receiver, startReceiver } from './harness/receiver.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

/** A server of its own: its write-ahead log must hold nobody else's writes. */
let postgres: EmbeddedPostgres
let receiver: Receiver
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-costs-'))
  await writeFile(join(folder, 'noop.mjs'), noop)
  postgres = await startEmbeddedPostgres({ dataDir: folder, durable: false })
  receiver = await startReceiver()
})
afterAll(async () => {
  await receiver.close()
  await postgres.stop({ hurry: true })
  await rm(folder, { recursive: true, force: true })
})

test.each([1, 32])(
  'of a warm model, %i at a time: 9 row writes, 5 KB of log and 12 commands to Redis a prediction, 4 rows and 1.5 KB a webhook, and updates are HOT',
  { timeout: 60_000 },
  async (atOnce) => {
    const database = await ownDatabase()
    const service = await startService({ queue: 'redis', database, env: { MODELS_DIR: folder } })
    const meter = await startMeter(service)
    const count = 300
    await meter.costOf(() => create(service, atOnce, atOnce))
    const plain = await meter.costOf(() => create(service, count, atOnce))
    const webhook = { url: receiver.url, events: ['prediction.succeeded'] }
    const told = await meter.costOf(() => create(service, count, atOnce, webhook))
    meter.stop()
    await service.stop()
    const bodyBytes = receiver.requests.at(-1)?.body.length ?? 0

    expect(plain.redisCommands / count).toBeLessThanOrEqual(12)
    expect(plain.walBytes / count).toBeLessThanOrEqual(5 * 1024)
    expect((told.walBytes - plain.walBytes) / count - bodyBytes).toBeLessThanOrEqual(1.5 * 1024)
    // The first ones had to wait for their model, which takes two more steps; and a few rows are nobody's.
    const allowed = 9 * (atOnce + 2 * count) + 4 * count + 4 * atOnce + 20
    expect(database.statistics().rowWrites).toBeLessThanOrEqual(allowed)
    expect(database.statistics().hotShare).toBeGreaterThanOrEqual(0.9)
  },
)

/** A model that says nothing while it runs. */
const noop = `export default { namespace: 'noop', type: 'data', input_schema: { type: 'object' }, concurrency: 16, run: () => 'done' }`

/** Creates so many and waits for their ends, and for their webhooks. */
async function create({ url, apiKey, db }: Service, count: number, atOnce: number, webhook?: Webhook) {
  const call = callerOf(url, apiKey)
  let left = count
  async function keepCreating(): Promise<void> {
    while (left-- > 0) {
      const body = { model: 'noop', input: {}, await: true, ...(webhook && { webhook }) }
      const reply = await call('POST /v1/predictions', { body })
      expect(reply).toMatchObject({ status: 200, body: { status: 'succeeded' } })
    }
  }
  await Promise.all(Array.from({ length: atOnce }, keepCreating))
  const owed = () => db.pool.query('select from deliveries where completed_at is null limit 1')
  await until(async () => (await owed()).rowCount === 0, { what: 'every webhook to be sent' })
}

/** Reads off what some work costs: bytes of the write-ahead log, and commands that clients send to Redis. */
async function startMeter({ db, environment }: Service) {
  const { REDIS_URL: url = '', QUEUE_PREFIX: prefix = '' } = environment
  const { hostname, port } = new URL(url)
  const monitor = createConnection(Number(port), hostname)
  let redisCommands = 0
  const lines = createInterface(monitor)
  lines.on('line', (line) => {
    // What a script does inside Redis was not sent.
    if (line.includes(prefix) && !/^\+\S+ \[\d+ lua\]/.test(line)) redisCommands++
  })
  monitor.write('MONITOR\r\n')
  await once(lines, 'line')
  const read = async () => ({ walBytes: await written(db), redisCommands })
  return {
    async costOf(work: () => Promise<void>) {
      const before = await read()
      await work()
      const after = await read()
      return {
        walBytes: after.walBytes - before.walBytes,
        redisCommands: after.redisCommands - before.redisCommands,
      }
    },
    stop() {
      monitor.destroy()
    },
  }
}

async function written({ pool }: Database): Promise<number> {
  const position = `pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8`
  const { rows } = await pool.query<{ bytes: number }>(`select ${position} as bytes`)
  return rows[0]?.bytes ?? 0
}

/** Counts what is written from its opening on. Connections tell at their end, so it is known once it is dropped. */
async function ownDatabase(): Promise<FreshDatabase & { statistics(): Statistics }> {
  const name = `costs_${randomBytes(8).toString('hex')}`
  await onDatabase(postgres.url, (db) => db.pool.query(`create database ${name}`))
  const url = new URL(postgres.url)
  url.pathname = `/${name}`
  await migrate(url.href)
  const before = await onDatabase(url.href, statistics)
  const db = connect({ url: url.href, max: 5, name: 'millrace-test' })
  let after = before
  return {
    url: url.href,
    db,
    async drop() {
      await db.close()
      after = await onDatabase(url.href, statistics)
      await onDatabase(postgres.url, (admin) => admin.pool.query(`drop database ${name} with (force)`))
    },
    statistics: () => ({ ...after, rowWrites: after.rowWrites - before.rowWrites }),
  }
}

type Statistics = {
  rowWrites: number
  /** The share of the updates of predictions that touched no index. */
  hotShare: number
}

/** What a worker says every few seconds is no prediction's. */
async function statistics({ pool }: Database): Promise<Statistics> {
  const predictions = `filter (where relname like 'predictions\\_%')`
  const { rows } = await pool.query<Statistics>(
    `select sum(n_tup_ins + n_tup_upd + n_tup_del)::integer as "rowWrites",
       coalesce(sum(n_tup_hot_upd) ${predictions} / nullif(sum(n_tup_upd) ${predictions}, 0), 0)::float8 as "hotShare"
     from pg_stat_user_tables where relname not in ('workers', 'run_times')`,
  )
  return rows[0] ?? { rowWrites: 0, hotShare: 0 }
}

async function onDatabase<T>(url: string, work: (db: Database) => Promise<T>): Promise<T> {
  const db = connect({ url, max: 1, name: 'millrace-test' })
  try {
    return await work(db)
  } finally {
    await db.close()
  }
}

interface Webhook {
  url: string
  events: string[]
}
