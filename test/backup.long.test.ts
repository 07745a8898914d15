import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { dumpDatabase } from '@millrace/database/dump'
import { newId } from '@millrace/database/ids'
import { freePort } from '@millrace/standalone/ports'
import { expect, onTestFinished, test } from 'vitest'
import { type ApiCaller, callerOf } from './api-caller.ts'
import { givenClone, openTerminal, type } from './harness/clone.ts'
import { freshDatabase } from './harness/database.ts'
import { type App, type RunningProcess, startProcess } from './harness/processes.ts'
import { startReceiver } from './harness/receiver.ts'
import { freshDataDir, runStandalone } from './harness/standalone.ts'
import { findSystemPostgres, startSystemPostgres } from './harness/system-postgres.ts'
import { blocksOf, freePorts } from './pages.ts'
import { answersOf, givenHistory, type History, pictureOf, untilAllEnded } from './whole-history.ts'

// The commands are those of docs/operations.md, pasted as they are.
test('npm start: what was backed up is there again on a machine that lost everything', {
  timeout: 240_000,
}, async () => {
  const ports = await freePorts()
  const [start] = await blocksOf('README.md', ports)
  const service = await givenClone(start?.text ?? '', ports[3000])
  const { folder } = service
  await service.up({ CONCURRENCY: '1' })
  const keyOf = async () => (await readFile(join(folder, '.millrace', 'api-key'), 'utf8')).trim()
  const apiKey = await keyOf()
  const call = callerOf(`http://127.0.0.1:${ports[3000]}`, apiKey)
  const before = await givenAll(call)

  await type(await commandsOf('npm run backup'), folder)
  const later = await call('POST /v1/predictions', { body: { model: 'echo', input: {} } })
  await service.down()
  await loseDataFolder(folder)

  const restored = openTerminal(await commandsOf('npm run restore'), folder, { PORT: `${ports[3000]}` })
  onTestFinished(() => restored.interrupt())
  await restored.untilShown('Paste this')
  expect(await keyOf()).toBe(apiKey)
  await expectAll(call, before)
  expect((await call(`GET /v1/predictions/${later.body.id}`)).status).toBe(404)
})

const system = await findSystemPostgres()
test.runIf(system)(
  `a fleet: pg_dump and tar bring everything back (tried when the system has a PostgreSQL: ${system?.major ?? 'it has none'})`,
  { timeout: 240_000 },
  async () => {
    if (!system) return
    const postgres = await startSystemPostgres(system)
    onTestFinished(() => postgres.stop())
    const folder = await mkdtemp(join(tmpdir(), 'millrace-fleet-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const files = join(folder, 'files')
    const port = await freePort()
    const environment = {
      DATABASE_URL: postgres.url,
      MASTER_KEY: 'the same for all processes of this fleet',
      STORAGE_URL: pathToFileURL(files).href,
      PUBLIC_URL: `http://127.0.0.1:${port}`,
      OUTBOUND_LOOPBACK: 'true',
      CONCURRENCY: '1',
      PORT: `${port}`,
    }
    const shell = {
      DATABASE_URL: postgres.url,
      FILES: files,
      PATH: system.path,
    }
    const call = callerOf(environment.PUBLIC_URL, await migrated(environment))
    const fleet = await startFleet(environment)
    const before = await givenAll(call)

    await typeWith(shell, await commandsOf('pg_dump'), folder)
    await Promise.all(fleet.map((running) => running.kill()))
    await postgres.emptyAgain()
    await rm(files, { recursive: true })

    await typeWith(shell, await commandsOf('pg_restore'), folder)
    await startFleet({ ...environment, LEASE_SECONDS: '2' })
    await expectAll(call, before)
  },
)

test('a backup or a restore that cannot be made says why, and changes nothing', {
  timeout: 240_000,
}, async () => {
  const dataDir = await freshDataDir()
  onTestFinished(() => dataDir.remove())
  const empty = await freshDataDir()
  onTestFinished(() => empty.remove())
  const backup = join(dataDir.path, 'backup')
  expect(await refused('backup', backup, dataDir.path)).toContain(
    `There is no database in ${dataDir.path} yet`,
  )

  const service = await runStandalone(dataDir.path)
  onTestFinished(() => service.signal('SIGTERM'))
  await service.untilReady()
  await promisify(execFile)(process.execPath, [backupMain, 'backup', backup], { env: service.environment })
  const masterKey = await dataDir.read('master-key')

  expect(await refused('backup', backup, dataDir.path)).toContain(`${backup} exists`)
  expect(await refused('restore', backup, dataDir.path)).toContain(`Millrace already runs on ${dataDir.path}`)
  service.signal('SIGTERM')
  await service.exited
  expect(await refused('restore', empty.path, empty.path)).toContain(`There is no backup in ${empty.path}`)
  expect(await refused('restore', backup, dataDir.path)).toContain(
    `mv ${dataDir.path} ${dataDir.path}-before`,
  )
  expect(await dataDir.read('master-key')).toBe(masterKey)
})

test.runIf(process.platform === 'linux')('a full disk ends a backup with what is wrong', async () => {
  const { url, db, drop } = await freshDatabase()
  onTestFinished(drop)
  const folder = await mkdtemp(join(tmpdir(), 'millrace-full-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await symlink('/dev/full', join(folder, 'webhook_bodies.copy'))
  const ids = Array.from({ length: 200 }, newId)
  await db.pool.query(
    `insert into webhook_bodies select id, repeat('x', 100000) from unnest($1::uuid[]) id`,
    [ids],
  )

  await expect(dumpDatabase(url, folder)).rejects.toThrow('ENOSPC')
})

/** What the command says when it ends without having done its work. */
async function refused(command: string, folder: string, dataDir: string): Promise<string> {
  const env = { DATA_DIR: dataDir }
  const ended = promisify(execFile)(process.execPath, [backupMain, command, folder], { env })
  return await ended.then(
    ({ stdout }) => {
      throw new Error(`It was not refused: ${stdout}`)
    },
    ({ code, stderr }) => {
      expect(code).toBe(1)
      return stderr
    },
  )
}

const backupMain = fileURLToPath(new URL('../apps/standalone/src/backup-main.ts', import.meta.url))

async function givenAll(call: ApiCaller): Promise<Before> {
  const receiver = await startReceiver()
  onTestFinished(() => receiver.close())
  const history = await givenHistory(call, receiver.url)
  return { history, answers: await answersOf(call, history), picture: await pictureOf(call, history) }
}

async function expectAll(call: ApiCaller, { history, answers, picture }: Before): Promise<void> {
  expect(await answersOf(call, history)).toEqual(answers)
  expect(await pictureOf(call, history)).toEqual(picture)
  const again = await call('POST /v1/predictions', {
    body: history.repeatable,
    headers: { 'idempotency-key': 'kept' },
  })
  expect(again.body.id).toBe(history.repeated)
  for (const ended of await untilAllEnded(call, history)) {
    expect(ended).toMatchObject({ status: 'succeeded', output: { text: 'goes on' } })
  }
}

/** The block of the page that begins with `command`. */
async function commandsOf(command: string): Promise<string> {
  const blocks = await blocksOf('docs/operations.md', {})
  const found = blocks.filter(({ language, text }) => language === 'console' && text.startsWith(command))
  if (found.length !== 1) throw new Error(`${found.length} blocks of the page begin with ${command}`)
  return found[0]?.text ?? ''
}

async function typeWith(environment: Record<string, string>, commands: string, cwd: string): Promise<void> {
  const terminal = openTerminal(commands, cwd, environment)
  expect(await terminal.ended, terminal.shown()).toBe(0)
}

/** The data folder, and where root has its database the database, too. */
async function loseDataFolder(clone: string): Promise<void> {
  const { folder } = JSON.parse(await readFile(join(clone, '.millrace', 'postgres.json'), 'utf8'))
  await rm(join(clone, '.millrace'), { recursive: true })
  await rm(dirname(folder), { recursive: true, force: true })
}

/** `npm run migrate`, which prints the first account's key. */
async function migrated(environment: Record<string, string>): Promise<string> {
  const main = fileURLToPath(new URL('../apps/api/src/migrate.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [main], { env: environment })
  return /API key: +(\S+)/.exec(stdout)?.[1] ?? ''
}

async function startFleet(environment: Record<string, string>): Promise<RunningProcess[]> {
  const apps: App[] = ['api', 'worker', 'dispatcher']
  const started = await Promise.all(apps.map((app) => startProcess(app, environment)))
  onTestFinished(async () => {
    await Promise.all(started.map((running) => running.kill()))
  })
  return started
}

interface Before {
  history: History
  answers: unknown
  picture: Buffer
}
