import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ensureFirstAccount, ensureKey } from '@millrace/accounts/accounts'
import { createKeyRing } from '@millrace/accounts/api-keys'
import { opensSecrets } from '@millrace/accounts/signing-secrets'
import { connect } from '@millrace/database/connect'
import { migrate } from '@millrace/database/migrate'
import { newApiKey } from '@millrace/keys/api-key'
import { releaseWorker } from '@millrace/lifecycle/release'
import { serveHealth } from '@millrace/process/health-server'
import { createLog } from '@millrace/process/log'
import { type AppProcess, describeApps } from './apps.ts'
import { printBanner } from './banner.ts'
import type { Config } from './config.ts'
import { claimDataDir, keptSecret, writeSecretFile } from './data-dir.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts'
import { joinMetrics } from './joined-metrics.ts'
import { openLogFile } from './log-file.ts'
import { assertPortFree } from './ports.ts'
import { StartProblem } from './start-problem.ts'
import type { StopRequests } from './stop-requests.ts'
import { isReady, supervise } from './supervise.ts'
import type { Terminal } from './terminal.ts'

/**
 * Starts everything, in the order in which each part needs the one before; what has started is stopped in the
 * opposite order, also when a later part fails or a request to stop interrupts the start.
 */
export async function startStandalone(
  config: Config,
  terminal: Terminal,
  { stop: signal, hurry }: StopRequests,
): Promise<Standalone> {
  const { dataDir, host, port } = config
  const parts: Part[] = []
  const stop = () => stopAll(parts, terminal)
  hurry.addEventListener('abort', () => {
    for (const part of parts) part.hurry?.()
  })
  try {
    const claimed = await claimDataDir(config)
    parts.push({ stop: claimed.release })
    // What a killed run left behind drains by itself and lets go of the port a little later.
    await assertPortFree('PORT', host, port, claimed.killedRun ? 15_000 : 0)
    if (config.metricsPort) await assertPortFree('METRICS_PORT', host, config.metricsPort)

    const { url: databaseUrl, lifeline } = config.databaseUrl
      ? { url: config.databaseUrl, lifeline: undefined }
      : await embedded(config, terminal, parts)
    signal.throwIfAborted()
    // `npm run admin` finds the running service's database by this note.
    const urlNote = join(dataDir, 'database-url')
    parts.push({ stop: () => rm(urlNote, { force: true }) })
    await writeSecretFile(urlNote, databaseUrl)
    const secrets = await prepareDatabase(config, databaseUrl, terminal)
    signal.throwIfAborted()

    const db = connect({ url: databaseUrl, max: 2, name: 'millrace-standalone', patienceMs: 5_000 })
    parts.push({ stop: () => db.close() })
    // The killed run's worker lost its database with it, so nothing of its is still going on.
    if (claimed.killedRun && !config.databaseUrl) await releaseWorker(db, claimed.killedRun.workerName)
    const log = await openLogFile(join(dataDir, 'millrace.log'), terminal)
    parts.push({ stop: log.close })

    const apps = await describeApps(config, { databaseUrl, ...secrets })
    const supervisor = supervise(apps, {
      log,
      lifeline,
      async onGone(app) {
        if (app !== 'worker') return
        // Nothing after a drain in order. What a killed one leaves would wait for its lease otherwise.
        const released = await releaseWorker(db, config.workerName).catch(() => 0)
        if (released > 0) terminal.step(`${released} unfinished predictions go to the next worker at once`)
      },
    })
    parts.push(supervisor)
    await supervisor.untilReady(signal)
    if (config.metricsPort !== undefined) parts.push(await serveMetrics(config, config.metricsPort, apps))
    printBanner(terminal, config, secrets.apiKey)
  } catch (error) {
    await stop()
    if (signal.aborted) process.exit()
    throw error
  }
  return { stop }
}

/** One /metrics for all processes, and whether all of them are ready. */
async function serveMetrics({ host, logLevel }: Config, port: number, apps: AppProcess[]): Promise<Part> {
  const health = await serveHealth({
    port,
    host,
    log: createLog({ name: 'standalone', level: logLevel }),
    ready: async () => (await Promise.all(apps.map(({ readyUrl }) => isReady(readyUrl)))).every(Boolean),
    metrics: () => joinMetrics(apps.map(({ name, metricsUrl }) => ({ name, url: metricsUrl }))),
  })
  return { stop: () => health.close() }
}

async function embedded({ dataDir }: Config, terminal: Terminal, parts: Part[]): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({
    dataDir,
    progress: terminal.step,
    onRestart: (reason) => terminal.warn('database', `${reason}; starting it again`),
  })
  parts.push({ stop: () => postgres.stop(), hurry: () => void postgres.stop({ hurry: true }) })
  if (postgres.user) terminal.step(`As root, the database runs as ${postgres.user} in ${postgres.folder}`)
  return postgres
}

async function prepareDatabase(config: Config, databaseUrl: string, terminal: Terminal): Promise<Secrets> {
  const { dataDir } = config
  const masterKey = config.masterKey ?? (await keptSecret(dataDir, 'master-key'))
  const adminKey = config.adminApiKey ?? (await keptSecret(dataDir, 'admin-key', newApiKey))
  const apiKey = await keptSecret(dataDir, 'api-key', newApiKey)

  const applied = await migrate(databaseUrl).catch((error: unknown) => {
    throw new StartProblem(
      `The database cannot be used: ${error instanceof Error ? error.message || String(error.cause ?? error) : error}`,
      config.databaseUrl
        ? 'Is DATABASE_URL right, and does that server run?'
        : `See ${join(dataDir, 'postgres.log')}`,
    )
  })
  if (applied.length > 0)
    terminal.step(`Brought the database up to date (${count(applied.length, 'migration')})`)
  const db = connect({ url: databaseUrl, max: 1, name: 'millrace-standalone' })
  try {
    const ring = createKeyRing(masterKey, config.previousMasterKey)
    if (!(await opensSecrets(db, ring))) {
      throw new StartProblem(
        'The master key is not the one that this database was made with.',
        config.masterKey
          ? 'Set MASTER_KEY to that one, and while it is being replaced MASTER_KEY_PREVIOUS too.'
          : `Put that one back as ${join(dataDir, 'master-key')}: webhook secrets, API keys and file URLs depend on it.`,
      )
    }
    await ensureFirstAccount(db, ring, { adminKey, apiKey })
    // A key file that was lost has been made anew, and one may have been put there from elsewhere.
    await ensureKey(db, ring, { name: 'default', key: apiKey })
    await ensureKey(db, ring, { name: 'admin', key: adminKey, admin: true })
  } finally {
    await db.close()
  }
  return { masterKey, apiKey }
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

/** What cannot be stopped in order does not keep the rest, the database above all, from being stopped. */
async function stopAll(parts: Part[], terminal: Terminal): Promise<void> {
  for (let part = parts.at(-1); part; part = parts.at(-1)) {
    await part.stop().catch((error: unknown) => terminal.warn('stopping', String(error)))
    parts.pop()
  }
}

export interface Standalone {
  stop(): Promise<void>
}

interface Part {
  stop(): Promise<void>
  hurry?(): void
}

interface Secrets {
  masterKey: string
  apiKey: string
}
