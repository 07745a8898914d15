import { execFile } from 'node:child_process'
import { chmod, chown, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createCluster } from '@millrace/standalone/postgres-cluster'
import { runServer } from '@millrace/standalone/postgres-server'
import pg from 'pg'

/** The newest PostgreSQL of the system's packages, with pg_dump and all; undefined where there is none. */
export async function findSystemPostgres(): Promise<SystemPostgres | undefined> {
  const majors = await readdir(installed).catch(() => [])
  const major = Math.max(...majors.map(Number).filter(Number.isInteger))
  if (!Number.isFinite(major)) return undefined
  const native = join(installed, String(major))
  return { major, native, path: `${native}/bin:${process.env.PATH}` }
}

/** A server of it for one test, with an empty database. */
export async function startSystemPostgres({ native, major }: SystemPostgres): Promise<RunningPostgres> {
  const dataDir = await mkdtemp(join(tmpdir(), 'millrace-postgres-'))
  const user = process.getuid?.() === 0 ? await nobody() : undefined
  if (user) {
    await chmod(dataDir, 0o755)
    await chown(dataDir, user.uid, user.gid)
  }
  const home = { dataDir, native, major, folder: join(dataDir, 'postgres'), isNew: true, user }
  await createCluster(home, { password: 'millrace', durable: false, progress: () => {} })
  const server = await runServer(home, {
    durable: false,
    logFile: join(dataDir, 'postgres.log'),
    onRestart: () => {},
  })
  const at = (database: string) => `postgres://millrace:millrace@127.0.0.1:${server.port}/${database}`
  const emptyAgain = () =>
    asAdmin(at('postgres'), 'drop database if exists millrace with (force)', 'create database millrace')
  await emptyAgain()
  return {
    url: at('millrace'),
    emptyAgain,
    async stop() {
      await server.stop({ hurry: true })
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

async function asAdmin(url: string, ...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  for (const statement of statements) await client.query(statement)
  await client.end()
}

async function nobody() {
  const idOf = async (flag: string) => Number((await promisify(execFile)('id', [flag, 'nobody'])).stdout)
  return { name: 'nobody', uid: await idOf('-u'), gid: await idOf('-g') }
}

/** Where Debian and its kin put it. */
const installed = '/usr/lib/postgresql'

export interface SystemPostgres {
  major: number
  /** The folder with bin. */
  native: string
  /** PATH for a terminal in which its commands come first. */
  path: string
}

export interface RunningPostgres {
  url: string
  /** Takes everything away, as a disaster does. */
  emptyAgain(): Promise<void>
  stop(): Promise<void>
}
