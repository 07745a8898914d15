import { join } from 'node:path'
import type { Stream } from 'node:stream'
import { connect } from '@millrace/database/connect'
import { keptSecret } from './data-dir.ts'
import { createCluster } from './postgres-cluster.ts'
import { findPostgresHome } from './postgres-home.ts'
import { runServer, stopLeftover } from './postgres-server.ts'

/**
 * A PostgreSQL for this data folder, on loopback, on a port of its own and behind a password. Only the npm package's
 * binaries are used. The server has a session of its own, so that a terminal's Ctrl-C does not stop it before the
 * processes that still settle their work; one that a killed run left behind is stopped first.
 */
export async function startEmbeddedPostgres({
  dataDir,
  durable = true,
  settings = [],
  progress = () => {},
  onRestart = () => {},
}: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const home = await findPostgresHome(dataDir)
  const password = await keptSecret(dataDir, 'postgres-password')
  if (await stopLeftover(home)) progress('Stopped the database server of a run that was killed')
  await createCluster(home, { password, durable, progress })

  const server = await runServer(home, {
    durable,
    settings,
    logFile: join(dataDir, 'postgres.log'),
    onRestart,
  })
  const url = (database: string) => `postgres://millrace:${password}@127.0.0.1:${server.port}/${database}`
  await ensureDatabase(url('postgres')).catch(async (error) => {
    await server.stop()
    throw error
  })
  return {
    url: url('millrace'),
    folder: home.folder,
    user: home.user?.name,
    lifeline: server.lifeline,
    stop: server.stop,
  }
}

async function ensureDatabase(url: string): Promise<void> {
  const db = connect({ url, max: 1, name: 'millrace-standalone' })
  try {
    const { rows } = await db.pool.query(`select from pg_database where datname = 'millrace'`)
    if (rows.length === 0) await db.pool.query('create database millrace')
  } finally {
    await db.close()
  }
}

export interface EmbeddedPostgres {
  url: string
  /** The database cluster, and the user it belongs to when that is not the one who started it. */
  folder: string
  user: string | undefined
  /** For the processes that use it: should this one be killed, the server stops when the last of them is gone. */
  lifeline: Stream
  /** Ends it in order; `hurry` does not wait for a clean end. Safe to call twice. */
  stop(options?: { hurry?: boolean }): Promise<void>
}

interface EmbeddedOptions {
  dataDir: string
  /** False only for tests: a power cut may then lose everything. */
  durable?: boolean
  /** The server's, as `name=value`. */
  settings?: string[]
  progress?: (step: string) => void
  /** The server died by itself and is started again, on the same port. */
  onRestart?: (reason: string) => void
}
