import type { Database } from '@millrace/database/connect'
import type { Log } from '@millrace/process/log'

/**
 * Runs every sweep again and again, each on a timer of its own: a slow one holds no other up, and one that fails is
 * logged and tried again. Of all dispatchers only one runs a given sweep at a time (advisory lock); the others skip it.
 */
export function startSweeps(db: Database, log: Log, sweeps: Sweep[]): Sweeping {
  const stop = new AbortController()
  const loops = sweeps.map((sweep) => repeat(sweep, stop.signal))

  async function repeat(sweep: Sweep, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await once(db, sweep).then(
        (done) => done && log.info({ sweep: sweep.name, ...done }, 'swept'),
        (error: unknown) => {
          sweep.failed?.()
          log.error({ sweep: sweep.name, err: error }, 'a sweep failed; it is tried again')
        },
      )
      await pause(sweep.everySeconds * 1000, signal)
    }
  }

  return {
    async stop() {
      stop.abort()
      await Promise.all(loops)
    },
  }
}

/** Runs a sweep unless another process is at it. Answers what it did, undefined when there was nothing to do. */
export async function once(db: Database, sweep: Sweep): Promise<SweepReport | undefined> {
  const client = await db.pool.connect()
  const lock = `millrace sweep ${sweep.name}`
  let broken = false
  try {
    const { rows } = await client.query<{ mine: boolean }>(
      'select pg_try_advisory_lock(hashtext($1)) as mine',
      [lock],
    )
    if (!rows[0]?.mine) return undefined
    try {
      return await sweep.run()
    } finally {
      await client.query('select pg_advisory_unlock(hashtext($1))', [lock]).catch(() => {
        broken = true
      })
    }
  } finally {
    // A connection that could not unlock is closed, which unlocks.
    client.release(broken)
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}

export interface Sweeping {
  stop(): Promise<void>
}

/** One chore, small enough to be done often. */
export interface Sweep {
  name: string
  everySeconds: number
  run(): Promise<SweepReport | undefined>
  /** Told of each turn that failed, be it before `run` was called. */
  failed?(): void
}

/** What a sweep did, for the log. */
export type SweepReport = Record<string, number | string>
