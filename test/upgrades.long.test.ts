import { randomBytes } from 'node:crypto'
import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { connect, type Database } from '@millrace/database/connect'
import { type Dump, dumpDatabase } from '@millrace/database/dump'
import { loadDatabase } from '@millrace/database/load'
import { migrationNames } from '@millrace/database/migrations'
import { freePort } from '@millrace/standalone/ports'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type ApiCaller, callerOf } from './api-caller.ts'
import { emptyDatabase } from './harness/database.ts'
import { findPreviousVersion, givenPreviousVersion, migrateWith } from './harness/previous-version.ts'
import { type App, type Environment, type RunningProcess, startProcess } from './harness/processes.ts'
import { type Receiver, startReceiver } from './harness/receiver.ts'
import { startService } from './harness/service.ts'
import { freshDataDir, runStandalone } from './harness/standalone.ts'
import { until } from './harness/wait.ts'
import { answersOf, givenHistory, type History, nobody, pictureOf, untilAllEnded } from './whole-history.ts'

const fixtures = fileURLToPath(new URL('fixtures/releases/', import.meta.url))
const releases = await readdir(fixtures)

describe.each(releases)('what release %s left behind', (release) => {
  const left = join(fixtures, release)

  test('is answered as it was, and what was unfinished ends', { timeout: 240_000 }, async () => {
    const { history, answers }: Left = JSON.parse(await readFile(join(left, 'answers.json'), 'utf8'))
    const { url, db } = await givenEmpty()
    const receiver = await givenReceiver()
    const folder = await givenFolder()
    await cp(join(left, 'files'), join(folder, 'files'), { recursive: true })

    await loadDatabase(url, join(left, 'database'))
    await makeRecent(db, receiver.url)
    const port = await freePort()
    const call = callerOf(`http://127.0.0.1:${port}`, await secretOf(left, 'api-key'))
    await startAll({
      DATABASE_URL: url,
      MASTER_KEY: await secretOf(left, 'master-key'),
      STORAGE_URL: pathToFileURL(join(folder, 'files')).href,
      PUBLIC_URL: `http://127.0.0.1:${port}`,
      PORT: `${port}`,
      CONCURRENCY: '8',
    })

    expect(await answersOf(call, history)).toMatchObject(answers)
    const [picture = ''] = (await readdir(join(left, 'files'), { recursive: true })).filter((name) =>
      name.includes('file_'),
    )
    expect(await pictureOf(call, history)).toEqual(await readFile(join(left, 'files', picture)))
    for (const ended of await untilAllEnded(call, history)) {
      expect(ended).toMatchObject({ status: 'succeeded', output: { text: 'goes on' } })
    }
    const owed = `"id":"${history.drawn}"`
    await expect
      .poll(() => receiver.requests.filter(({ body }) => body.includes(owed)), { timeout: 10_000 })
      .toHaveLength(1)
  })

  test('has a row in every table, and a backup of it is the same', async () => {
    const { url } = await givenEmpty()
    await loadDatabase(url, join(left, 'database'))
    const before: Dump = JSON.parse(await readFile(join(left, 'database', 'contents.json'), 'utf8'))
    const folder = await givenFolder()

    const after = await dumpDatabase(url, folder)

    for (const { name, columns, rows } of before.tables) {
      expect(rows, name).toBeGreaterThan(0)
      const now = after.tables.find((table) => table.name === name)
      // Leases and time limits of runs begin anew, and later migrations may add columns.
      if (name === 'runs' || now?.columns.join() !== columns.join()) continue
      const copies = [folder, join(left, 'database')].map((at) => readFile(join(at, `${name}.copy`), 'utf8'))
      const [is, was] = (await Promise.all(copies)).map((text) => text.split('\n').sort())
      expect(is, name).toEqual(was)
    }
  })
})

test('a load that fails, or cannot be done, leaves the database empty', async () => {
  const { url, db } = await givenEmpty()
  const [release = ''] = releases
  const whole = join(fixtures, release, 'database')
  const [damaged, newer] = [await givenFolder(), await givenFolder()]
  await cp(whole, damaged, { recursive: true })
  await truncate(join(damaged, 'webhook_endpoints.copy'), 0)
  await cp(whole, newer, { recursive: true })
  const contents = await readFile(join(whole, 'contents.json'), 'utf8')
  await writeFile(
    join(newer, 'contents.json'),
    contents.replace('"migrations": [', '"migrations": ["9999_later.sql",'),
  )

  await expect(loadDatabase(url, damaged)).rejects.toThrow(
    'webhook_endpoints.copy has 0 rows where 1 were written',
  )
  await expect(loadDatabase(url, newer)).rejects.toThrow('a newer release, which has 9999_later.sql')
  const { rows } = await db.pool.query(`select from pg_class where relnamespace = 'public'::regnamespace`)
  expect(rows).toHaveLength(0)

  await loadDatabase(url, whole)
  await expect(loadDatabase(url, whole)).rejects.toThrow('The database is not empty')
})

test('processes go on while a later release adds a column to every table', { timeout: 240_000 }, async () => {
  const service = await startService({ queue: 'postgres', env: { CONCURRENCY: '1' } })
  onTestFinished(() => service.stop())
  const receiver = await givenReceiver()
  const call = callerOf(service.url, service.apiKey)
  // By now their connections have prepared what they say.
  await useAllConnections(call)
  const underWay = await call('POST /v1/predictions', { body: { model: 'echo', input: { delay_ms: 1_500 } } })

  await addColumns(service.db)

  await useAllConnections(call)
  const history = await givenHistory(call, receiver.url)
  expect((await call(`GET /v1/predictions/${underWay.body.id}`)).body.status).toBe('succeeded')
  for (const ended of await untilAllEnded(call, history)) expect(ended.status).toBe('succeeded')
  for (const { app, log } of service.processes) expect(log(), app).not.toContain('cached plan')
})

const previous = await findPreviousVersion()
const with_ = previous.commit ? `(${previous.commit.slice(0, 7)})` : `(NOT TRIED: ${previous.missing})`

describe.runIf(previous.commit)(`the version before the newest migration ${with_}`, () => {
  test('its processes go on on the new schema', { timeout: 240_000 }, async () => {
    const checkout = await givenPreviousVersion(previous.commit ?? '')
    const service = await startService({ queue: 'postgres', apis: 1, workers: 0, dispatchers: 0 })
    onTestFinished(() => service.stop())
    const port = await freePort()
    await startAll({ ...service.environment, PORT: `${port}` }, checkout)
    const [old, now] = [
      callerOf(`http://127.0.0.1:${port}`, service.apiKey),
      callerOf(service.url, service.apiKey),
    ]

    const history = await givenHistory(old, (await givenReceiver()).url)

    expect(await answersOf(now, history)).toMatchObject((await answersOf(old, history)) as object)
    for (const ended of await untilAllEnded(now, history)) expect(ended.status).toBe('succeeded')
  })

  test('its processes go on through the migration, and beside those of this version', {
    timeout: 240_000,
  }, async () => {
    const checkout = await givenPreviousVersion(previous.commit ?? '')
    const { url, db } = await givenEmpty()
    const folder = await givenFolder()
    await writeFile(join(folder, 'gated.mjs'), gated)
    const port = await freePort()
    const keys = { DATABASE_URL: url, MASTER_KEY: randomBytes(32).toString('base64url') }
    const environment = {
      ...keys,
      PUBLIC_URL: `http://127.0.0.1:${port}`,
      PORT: `${port}`,
      STORAGE_URL: pathToFileURL(join(folder, 'files')).href,
      MODELS_DIR: folder,
      LEASE_SECONDS: '15',
    }
    const [, apiKey] = /API key: +(\S+)/.exec(await migrateWith(keys, checkout)) ?? []
    const old = await startAll({ ...environment, WORKER_NAME: 'old' }, checkout)
    const call = callerOf(environment.PUBLIC_URL, apiKey)
    await useAllConnections(call)
    const receiver = await givenReceiver()
    const webhook = { url: receiver.url, events: ['started', 'completed'] }
    const create = async (gate: string): Promise<string> =>
      (await call('POST /v1/predictions', { body: { model: 'gated', input: { gate }, webhook } })).body.id
    const open = (gate: string) => writeFile(join(folder, gate), '')
    const atWork = (...workers: string[]) =>
      until(async () => (await workersOf(db)).join() === workers.join(), {
        within: 60_000,
        what: `a run at ${workers.join(' and ')}`,
      })
    const first = await create('first')
    await atWork('old')
    const ids = [first]
    for (let n = 0; n < 5; n++) ids.push(await create('second'))

    // More than one may have come at once.
    expect(await migrateWith(keys)).toMatch(new RegExp(`^Applied .*${(await migrationNames()).at(-1)}`))

    // What was under way ends, and the next one is claimed, by the old worker alone.
    await open('first')
    await until(async () => (await call(`GET /v1/predictions/${first}`)).body.status === 'succeeded', {
      within: 60_000,
      what: 'the run that was under way',
    })
    await atWork('old')
    await startAll({ ...environment, WORKER_NAME: 'new' }, undefined, ['worker', 'dispatcher'])
    await atWork('new', 'old')
    ids.push(await create('second'))
    await open('second')
    await untilAllSent(db)
    const shown = await Promise.all(ids.map(async (id) => (await call(`GET /v1/predictions/${id}`)).body))
    expect(shown.map(({ status, metadata }) => [status, metadata.attempts])).toEqual(
      ids.map(() => ['succeeded', 1]),
    )
    expect(sentTo(receiver)).toEqual(
      ids.flatMap((id) => [`${id} prediction.started`, `${id} prediction.succeeded`]).sort(),
    )
    for (const { app, log } of old) expect(log(), app).not.toContain('cached plan')
  })

  test('its data folder is taken over', { timeout: 240_000 }, async () => {
    const checkout = await givenPreviousVersion(previous.commit ?? '')
    const dataDir = await freshDataDir()
    onTestFinished(() => dataDir.remove())
    const old = await runStandalone(dataDir.path, { CONCURRENCY: '1', DRAIN_SECONDS: '1' }, checkout)
    onTestFinished(() => old.signal('SIGTERM'))
    await old.untilReady()
    const apiKey = await dataDir.read('api-key')
    const history = await givenHistory(callerOf(old.url, apiKey), (await givenReceiver()).url)
    const answers = await answersOf(callerOf(old.url, apiKey), history)
    old.signal('SIGTERM')
    await old.exited

    const now = await runStandalone(dataDir.path)
    onTestFinished(async () => {
      now.signal('SIGTERM')
      await now.exited
    })
    expect(await now.untilReady()).toContain('Brought the database up to date')
    const call = callerOf(now.url, apiKey)
    expect(await answersOf(call, history)).toMatchObject(answers as object)
    for (const ended of await untilAllEnded(call, history)) expect(ended.status).toBe('succeeded')
  })
})

async function givenEmpty(): Promise<{ url: string; db: Database }> {
  const { url, drop } = await emptyDatabase()
  const db = connect({ url, max: 1, name: 'millrace-test' })
  onTestFinished(async () => {
    await db.close()
    await drop()
  })
  return { url, db }
}

async function givenFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-upgrade-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function givenReceiver() {
  const receiver = await startReceiver()
  onTestFinished(() => receiver.close())
  return receiver
}

async function secretOf(folder: string, file: string): Promise<string> {
  return (await readFile(join(folder, file), 'utf8')).trim()
}

/** A release may be years old: its file has not expired, and its receiver has another port now. */
async function makeRecent({ pool }: Database, receiver: string): Promise<void> {
  await pool.query(`update files set expires_at = clock_timestamp() + interval '1 day'`)
  await pool.query('update webhook_endpoints set url = $1', [receiver])
  await pool.query('update deliveries set url = $1, host = $2 where url = $3 and completed_at is null', [
    receiver,
    new URL(receiver).host,
    nobody,
  ])
}

async function startAll(
  environment: Environment,
  checkout?: string,
  apps: App[] = ['api', 'worker', 'dispatcher'],
): Promise<RunningProcess[]> {
  const years = {
    RETENTION_FILES_DAYS: '36500',
    RETENTION_VALUES_DAYS: '36500',
    RETENTION_ROWS_DAYS: '36500',
  }
  const given = { ...years, OUTBOUND_LOOPBACK: 'true', LEASE_SECONDS: '2', CONCURRENCY: '1', ...environment }
  const started = await Promise.all(apps.map((app) => startProcess(app, given, checkout)))
  onTestFinished(async () => {
    await Promise.all(started.map((running) => running.stop()))
  })
  return started
}

/** A run of it ends once there is a file of the name that its input gives. */
const gated = `import { existsSync } from 'node:fs'
export default {
  namespace: 'gated', type: 'text', input_schema: { type: 'object' },
  async run({ gate }) {
    while (!existsSync(new URL(gate, import.meta.url))) await new Promise((resolve) => setTimeout(resolve, 20))
    return gate
  },
}`

/** Who has a run under way. */
async function workersOf({ pool }: Database): Promise<string[]> {
  const { rows } = await pool.query<{ worker: string }>(
    `select distinct r.worker from runs r join predictions p on p.id = r.prediction_id
     where r.worker is not null and p.status = 'processing' order by r.worker`,
  )
  return rows.map(({ worker }) => worker)
}

/** Nothing runs, and every delivery has come to its end. */
async function untilAllSent({ pool }: Database): Promise<void> {
  const left = `select from runs union all select from deliveries where completed_at is null`
  await until(async () => (await pool.query(left)).rowCount === 0, {
    within: 60_000,
    what: 'everything to end and to be told',
  })
}

/** What a receiver got: of which prediction, and which event. */
function sentTo({ requests }: Receiver): string[] {
  return requests
    .map(({ body }) => JSON.parse(body) as { id: string; type: string })
    .map(({ id, type }) => `${id} ${type}`)
    .sort()
}

/** Creates, runs, shows and lists so many predictions at once that it takes all connections of an api. */
async function useAllConnections(call: ApiCaller): Promise<void> {
  const times = Array.from({ length: 20 })
  const body = { model: 'echo', input: {}, await: true }
  const created = await Promise.all(times.map(() => call('POST /v1/predictions', { body })))
  expect(created.map((reply) => reply.body.status)).toEqual(times.map(() => 'succeeded'))
  const shown = await Promise.all(created.map((reply) => call(`GET /v1/predictions/${reply.body.id}`)))
  const listed = await Promise.all(times.map(() => call('GET /v1/predictions')))
  expect(new Set([...shown, ...listed].map(({ status }) => status))).toEqual(new Set([200]))
}

async function addColumns({ pool }: Database): Promise<void> {
  const { rows } = await pool.query<{ name: string }>(
    `select relname as name from pg_class
     where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition`,
  )
  expect(rows.length).toBeGreaterThan(10)
  for (const { name } of rows) {
    await pool.query(`alter table ${name} add column of_a_later_release text not null default 'new'`)
  }
}

interface Left {
  history: History
  answers: object
}
