import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from '@millrace/database/connect'
import type { Config } from './config.ts'
import { claimDataDir } from './data-dir.ts'
import { startEmbeddedPostgres } from './embedded-postgres.ts'
import type { Terminal } from './terminal.ts'

/**
 * Does `work` on this data folder's database: that of DATABASE_URL or of the running service, else the embedded one,
 * started for as long as it takes. `alone` refuses while the service runs. A request to stop ends it early.
 */
export async function withDatabase(
  config: Config,
  { terminal, stop, alone }: Borrowing,
  work: (url: string) => Promise<void>,
): Promise<void> {
  const runningUrl = alone ? undefined : (config.databaseUrl ?? (await urlOfRunning(config)))
  if (runningUrl) return await work(runningUrl)

  const claimed = await claimDataDir(config)
  try {
    if (config.databaseUrl) return await untilStopped(work(config.databaseUrl), stop)
    const postgres = await startEmbeddedPostgres({ dataDir: config.dataDir, progress: terminal.step })
    try {
      await untilStopped(work(postgres.url), stop)
    } finally {
      await postgres.stop()
    }
  } finally {
    await claimed.release()
  }
}

/** The note may be that of a run that was killed: it counts when the server answers. */
async function urlOfRunning({ dataDir }: Config): Promise<string | undefined> {
  const url = await readFile(join(dataDir, 'database-url'), 'utf8').catch(() => undefined)
  if (url === undefined) return undefined
  const db = connect({ url: url.trim(), max: 1, name: 'millrace-backup' })
  return await db.pool
    .query('select 1')
    .then(
      () => url.trim(),
      () => undefined,
    )
    .finally(() => db.close())
}

async function untilStopped(work: Promise<void>, stop: AbortSignal): Promise<void> {
  const stopped = new Promise<never>((_, reject) => {
    const abort = () => reject(stop.reason)
    if (stop.aborted) abort()
    else stop.addEventListener('abort', abort, { once: true })
  })
  await Promise.race([work, stopped])
}

export interface Borrowing {
  terminal: Terminal
  stop: AbortSignal
  alone: boolean
}
