import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ensureFirstAccount } from '@millrace/accounts/accounts'
import { createKeyRing } from '@millrace/accounts/api-keys'
import type { Database } from '@millrace/database/connect'
import { newApiKey } from '@millrace/keys/api-key'
import { freePort } from '@millrace/standalone/ports'
import { type FreshDatabase, freshDatabase } from './database.ts'
import { type App, type Environment, type RunningProcess, startProcess } from './processes.ts'
import { freshRedis } from './redis.ts'

/** The service as it is deployed: processes of its own on a fresh database, an own queue and an own folder of files. */
export async function startService({
  queue,
  env = {},
  database: given,
  ...counts
}: ServiceOptions): Promise<Service> {
  const database = given ?? (await freshDatabase())
  const folder = await mkdtemp(join(tmpdir(), 'millrace-service-'))
  const account = await firstAccount(database)
  const removeAll = () => Promise.all([database.drop(), rm(folder, { recursive: true, force: true })])
  const settings: Environment = {
    DATABASE_URL: database.url,
    ...queueSettings(queue),
    MASTER_KEY: account.masterKey,
    STORAGE_URL: pathToFileURL(join(folder, 'files')).href,
    OUTBOUND_LOOPBACK: 'true',
    TEST_MODELS: 'true',
    LEASE_SECONDS: '2',
    ...env,
  }
  const { urls, environment, processes } = await startAll(settings, counts).catch(async (error: unknown) => {
    await removeAll()
    throw error
  })
  return {
    ...account,
    urls,
    url: urls[0] ?? '',
    db: database.db,
    folder,
    environment,
    processes,
    async start(app, own = {}) {
      const started = await startProcess(app, { ...environment, ...own })
      processes.push(started)
      return started
    },
    async stop() {
      await Promise.all(processes.map((running) => (running.ended() ? undefined : running.stop())))
        .finally(() => Promise.all(processes.map((running) => running.kill())))
        .finally(removeAll)
    },
  }
}

/**
 * The ports were free a moment ago; now and then somebody else is faster. Every process knows the url of the first api,
 * so then all of them start again on other ports.
 */
async function startAll(settings: Environment, counts: Counts, attempt = 1): Promise<Started> {
  const { apis = 1, workers = 1, dispatchers = 1 } = counts
  const ports = await Promise.all(Array.from({ length: apis }, freePort))
  const urls = ports.map((port) => `http://127.0.0.1:${port}`)
  const environment = { PUBLIC_URL: urls[0] ?? 'http://127.0.0.1:3000', ...settings }
  const starts = await Promise.allSettled([
    ...ports.map((port) => startProcess('api', { ...environment, PORT: `${port}` })),
    ...Array.from({ length: workers }, (_, n) =>
      startProcess('worker', { ...environment, WORKER_NAME: `worker-${n + 1}` }),
    ),
    ...Array.from({ length: dispatchers }, () => startProcess('dispatcher', environment)),
  ])
  const processes = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []))
  const reasons = starts.flatMap((start) => (start.status === 'rejected' ? [start.reason] : []))
  if (reasons.length === 0) return { urls, environment, processes }

  await Promise.all(processes.map((running) => running.kill()))
  const portsTaken = reasons.every((reason) => String(reason).includes('EADDRINUSE'))
  if (!portsTaken || attempt === 3) throw reasons[0]
  return startAll(settings, counts, attempt + 1)
}

async function firstAccount({ db }: FreshDatabase): Promise<Account> {
  const masterKey = randomBytes(32).toString('base64url')
  const keys = { apiKey: newApiKey(), adminKey: newApiKey() }
  await ensureFirstAccount(db, createKeyRing(masterKey), keys)
  const { account_id: accountId } = await db.kysely
    .selectFrom('api_keys')
    .select('account_id')
    .where('admin', '=', false)
    .executeTakeFirstOrThrow()
  return { ...keys, masterKey, accountId }
}

function queueSettings(queue: ServiceOptions['queue']): Environment {
  const { url, prefix } = freshRedis()
  return queue === 'redis' ? { REDIS_URL: url, QUEUE_PREFIX: prefix } : {}
}

interface ServiceOptions extends Counts {
  queue: 'redis' | 'postgres'
  /** For every process; wins over what the harness chooses. */
  env?: Environment
  /** Migrated and empty; dropped when the service is stopped. */
  database?: FreshDatabase
}

/** How many of each; one unless told otherwise. */
interface Counts {
  apis?: number
  workers?: number
  dispatchers?: number
}

type Started = Pick<Service, 'urls' | 'environment' | 'processes'>

export interface Service extends Account {
  urls: string[]
  /** The first of `urls`. */
  url: string
  db: Database
  /** Temporary, removed at the end; `files` in it is the storage. */
  folder: string
  /** What every process got, for starting one more or a command beside them. */
  environment: Environment
  processes: RunningProcess[]
  /** One more process; stopped with the others. */
  start(app: App, own?: Environment): Promise<RunningProcess>
  stop(): Promise<void>
}

interface Account {
  accountId: string
  apiKey: string
  adminKey: string
  masterKey: string
}
