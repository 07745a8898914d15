import { type Database, transaction } from '@millrace/database/connect'
import type { Presence } from '@millrace/lifecycle/presence'
import type { Log } from '@millrace/process/log'
import { type PresenceWatch, watchPresence } from './watch-presence.ts'

/**
 * Runs every sweep again and again, each on a timer of its own: a slow one holds no other up, and one that fails is
 * logged and tried again. One that took long rests long, so that however much there is to look through, it takes a tenth of
 * a connection's time: a promise to look at least three times in a lease stands. Of all dispatchers only one runs a given sweep at a time (advisory lock); the others skip it.
 */
export function startSweeps({ db, log, leaseSeconds }: Sweeper, sweeps: Sweep[]): Sweeping {
  const stop = new AbortController()
  const everySeconds = Math.min(...sweeps.map((sweep) => sweep.everySeconds))
  const turns: Turns = { db, leaseSeconds, presence: watchPresence({ leaseSeconds, everySeconds }) }
  const loops = sweeps.map((sweep) => repeat(sweep, stop.signal))

  async function repeat(sweep: Sweep, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const begun = performance.now()
      await once(turns, sweep).then(
        (done) => done && log.info({ sweep: sweep.name, ...done }, 'swept'),
        (error: unknown) => log.error({ sweep: sweep.name, err: error }, 'a sweep failed; it is tried again'),
      )
      const tookMs = performance.now() - begun
      const longestMs = (leaseSeconds * 1000) / 3
      await pause(Math.max(sweep.everySeconds * 1000, Math.min(9 * tookMs, longestMs)), signal)
    }
  }

  return {
    async stop() {
      stop.abort()
      await Promise.all(loops)
    },
  }
}

/**
 * Runs a sweep unless another process is at it. Answers what it did, undefined when there was nothing to do.
 *
 * The lock is held by a transaction, in which the process shows that it lives while the sweep works on other
 * connections. PostgreSQL ends the transaction of one that was stopped or cut off in the middle, after a lease without
 * a word. A lock of the session would outlast it for as long as TCP does, two hours by default, and for good when the
 * process is only frozen.
 */
export async function once(turns: Turns, sweep: Sweep): Promise<SweepReport | undefined> {
  const { db, leaseSeconds, presence } = turns
  const begun = performance.now()
  let asking = true
  try {
    return await transaction(db, async (client) => {
      const { rows } = await client.query<{ mine: boolean; now: number }>(lockStatement, [
        `millrace sweep ${sweep.name}`,
        `${Math.ceil(leaseSeconds * 1000)}ms`,
      ])
      asking = false
      const [answer] = rows
      // Whoever skips the turn has heard from the database all the same.
      const now = answer && presence.heard(answer.now, (performance.now() - begun) / 1000)
      if (!answer?.mine || !now) return undefined
      // Should one fail, the end of the transaction will tell.
      const alive = setInterval(() => void client.query('select').catch(() => {}), (leaseSeconds * 1000) / 4)
      try {
        return await sweep.run(now)
      } finally {
        clearInterval(alive)
      }
    })
  } catch (error) {
    if (asking) presence.failed()
    throw error
  }
}

const lockStatement = `
  select pg_try_advisory_xact_lock(hashtext($1)) as mine, extract(epoch from clock_timestamp())::float8 as now,
         set_config('idle_in_transaction_session_timeout', $2, true)`

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

interface Sweeper {
  /** For the turns alone, with a connection for each sweep. */
  db: Database
  log: Log
  leaseSeconds: number
}

export interface Sweeping {
  stop(): Promise<void>
}

/** One chore, small enough to be done often. `now` tells when the turn began and how long the database has been there. */
export interface Sweep {
  name: string
  everySeconds: number
  run(now: Presence): Promise<SweepReport | undefined>
}

/** What the sweeps of a process share. */
export interface Turns {
  db: Database
  leaseSeconds: number
  presence: PresenceWatch
}

/** What a sweep did, for the log. */
export type SweepReport = Record<string, number | string>
