import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { ensureFirstAccount } from '@millrace/accounts/accounts'
import { createKeyRing } from '@millrace/accounts/api-keys'
import { connect, type Database } from '@millrace/database/connect'
import { migrate } from '@millrace/database/migrate'
import type { PartitionWidth } from '@millrace/database/partitions'
import { newApiKey } from '@millrace/keys/api-key'
import { freePort } from '@millrace/standalone/ports'
import { concurrency } from './contender.ts'
import { residentMb } from './process-figures.ts'
import { startProcess } from './processes.ts'
import type { Stores } from './stores.ts'

/** Starts this service on empty stores: one api and, unless `apps` says otherwise, one worker and one dispatcher. */
export async function startMillrace(stores: Stores, options: MillraceOptions): Promise<Millrace> {
  const { onRedis, apps = ['api', 'worker', 'dispatcher'], env: given = {}, partitions = 'month' } = options
  const { databaseUrl, drop } = await stores.fresh()
  await migrate(databaseUrl, { partitions })
  const db = connect({ url: databaseUrl, max: 4, name: 'bench' })
  const masterKey = randomBytes(32).toString('base64url')
  const apiKey = newApiKey()
  await ensureFirstAccount(db, createKeyRing(masterKey), { apiKey, adminKey: newApiKey() })
  await options.prepare?.(db)
  const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-files-'))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const env = {
    DATABASE_URL: databaseUrl,
    ...(onRedis && { REDIS_URL: stores.redisUrl }),
    MASTER_KEY: masterKey,
    PUBLIC_URL: url,
    HOST: '127.0.0.1',
    PORT: `${port}`,
    STORAGE_URL: pathToFileURL(join(folder, 'files')).href,
    MODELS_DIR: fileURLToPath(new URL('models', import.meta.url)),
    MODELS: 'noop,patient,paid',
    CONCURRENCY: `${concurrency}`,
    OUTBOUND_LOOPBACK: 'true',
    LOG_LEVEL: 'warn',
    SUPERVISED: '1',
    PARTITIONS: partitions,
    ...given,
  }
  async function start(app: App): Promise<MillraceProcess> {
    const metrics = `http://127.0.0.1:${await freePort()}`
    const { pid, stop } = await startProcess(`apps/${app}/src/main.ts`, {
      env: { ...env, METRICS_PORT: new URL(metrics).port },
      readyUrl: `${metrics}/readyz`,
    })
    return { app, pid, stop, memory: () => memoryOf(pid, metrics) }
  }
  const processes = await Promise.all(apps.map(start))
  return {
    url,
    apiKey,
    db,
    databaseUrl,
    redisUrl: onRedis ? stores.redisUrl : undefined,
    processes,
    async stop() {
      await Promise.all(processes.map((process) => process.stop()))
      await db.close()
      await drop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function memoryOf(pid: number, metrics: string): Promise<Memory> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  const inChildren = await Promise.all(children.trim().split(' ').filter(Boolean).map(residentMb))
  const text = await (await fetch(`${metrics}/metrics`)).text()
  const heap = Number(/^nodejs_heap_size_used_bytes (\S+)/m.exec(text)?.[1])
  return { rssMb: await residentMb(pid), childMb: Math.max(0, ...inChildren), heapMb: heap / 2 ** 20 }
}

export interface MillraceOptions {
  /** The queue is on Redis; on Postgres otherwise. */
  onRedis: boolean
  apps?: App[]
  env?: Record<string, string>
  partitions?: PartitionWidth
  /** Done once the tables are there, before any process starts. */
  prepare?(db: Database): Promise<void>
}

export type App = 'api' | 'worker' | 'dispatcher'

/** The service at work. */
export interface Millrace {
  url: string
  apiKey: string
  db: Database
  databaseUrl: string
  redisUrl: string | undefined
  processes: MillraceProcess[]
  stop(): Promise<void>
}

export interface MillraceProcess {
  app: App
  pid: number
  memory(): Promise<Memory>
  stop(): Promise<void>
}

/** Megabytes: what the process takes of the machine, its largest child too, and what JavaScript holds of the first. */
export interface Memory {
  rssMb: number
  childMb: number
  heapMb: number
}
