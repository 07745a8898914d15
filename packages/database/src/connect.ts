import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { isStalePlan, isUnreachable } from './faults.ts'
import type { Tables } from './tables.ts'

// json and jsonb come back as text's own parse; int8 (bytes of files, counts) fits a double by far.
pg.types.setTypeParser(pg.types.builtins.INT8, Number)

/**
 * Opens a pool on `url`. `max` is the number of connections, `name` shows in pg_stat_activity.
 * A connection that breaks while idle is dropped quietly: the next query opens another. One whose other end is gone
 * without a word is given up after `patienceMs` (`query_timeout` in the URL wins), and its statement counts as cut off;
 * TCP alone would wait for a quarter of an hour. The other way round, PostgreSQL takes back the locks of a transaction
 * whose process has been silent for `idleSeconds`.
 *
 * Every statement is made for an index. What is waiting or due comes and goes faster than statistics are gathered, and a
 * plan made while a table was empty would read all of it from then on (measured: a third of the database's work).
 */
export function connect(options: ConnectOptions): Database {
  const { url, max = 10, name, patienceMs = 0, idleSeconds = 30 } = options
  const settings = {
    timezone: 'UTC',
    enable_seqscan: 'off',
    enable_bitmapscan: 'off',
    jit: 'off',
    lock_timeout: '1s',
    statement_timeout: '30s',
    idle_in_transaction_session_timeout: `${Math.ceil(idleSeconds * 1000)}ms`,
    ...options.settings,
  }
  const pool = new pg.Pool({
    connectionString: url,
    max,
    application_name: name,
    connectionTimeoutMillis: 5_000,
    query_timeout: patienceMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    pipeline: true,
    options: Object.entries(settings)
      .map(([setting, value]) => `-c ${setting}=${value}`)
      .join(' '),
  })
  pool.on('error', () => {})
  // A client that is checked out tells of a broken connection itself; unheard, that would end the process. Whoever uses
  // the client learns it from the query that fails.
  pool.on('connect', (client) => client.on('error', () => {}))
  prepareAnew(pool)
  const kysely = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  return {
    kysely,
    pool,
    async close() {
      // Kysely ends the pool only when it has run a query of its own.
      if (!pool.ended) await pool.end()
    },
  }
}

/**
 * Settings for a process that says the same few statements all day: each is planned once on a connection. Left to guess,
 * PostgreSQL plans some of them anew each time, and then for the rows that it thinks there are (measured: 0.6 to 3.1 ms
 * for what webhooks need, 2 to 3.3 ms for a claim among 120 partitions). Not for statements without a name: those are
 * planned for every partition each time (4.3 instead of 0.3 ms).
 */
export const plannedOnce = { plan_cache_mode: 'force_generic_plan' }

/**
 * A query of the pool that fails takes its connection out of the pool. So what a connection refuses because a migration
 * changed the statement's columns goes again, each time on another one, until it is on a new one at the latest.
 */
function prepareAnew(pool: pg.Pool): void {
  const query = pool.query.bind(pool) as (...given: unknown[]) => Promise<unknown>
  async function patiently(...given: unknown[]): Promise<unknown> {
    for (let tried = 1; ; tried++) {
      try {
        return await query(...given)
      } catch (error) {
        if (!isStalePlan(error) || tried > pool.options.max) throw error
      }
    }
  }
  pool.query = patiently as typeof pool.query
}

/**
 * Runs `work` in one transaction; rolls back and rethrows when it throws. Statements that `work` hands over without
 * waiting for the one before travel together, and each is run after that one all the same; so does the begin. What is
 * given to `last` travels with the commit: what it locks is locked for no longer than that takes.
 */
export async function transaction<T>(
  db: Database,
  work: (client: pg.PoolClient, last: (query: Query) => void) => Promise<T>,
): Promise<T> {
  const client = await db.pool.connect()
  let broken: unknown
  const lastly: Query[] = []
  try {
    const [, result] = await together([client.query('begin'), work(client, (query) => lastly.push(query))])
    // Where one of them fails, PostgreSQL makes a rollback of the commit.
    await together([...lastly.map((query) => client.query(query)), client.query('commit')])
    return result
  } catch (error) {
    // What got no answer would not answer a rollback either, and closing the connection is one.
    if (isUnreachable(error)) broken = error
    else {
      if (isStalePlan(error)) broken = error
      await client.query('rollback').catch((lost) => {
        broken = lost
      })
    }
    throw error
  } finally {
    client.release(broken !== undefined)
  }
}

/**
 * What statements of a transaction answer that travel together, in the order in which they were sent. Where one fails,
 * those after it only say so (25P02), and may say it first: thrown is what the first of them failed with.
 */
export async function together<T extends readonly unknown[] | []>(
  sent: T,
): Promise<{ -readonly [N in keyof T]: Awaited<T[N]> }> {
  await Promise.allSettled(sent)
  // Of what has failed already it throws the first.
  return Promise.all(sent)
}

export interface ConnectOptions {
  url: string
  max?: number
  name: string
  /** How long a statement may go without an answer; for ever unless it is given. */
  patienceMs?: number
  /** How long a transaction may stand still; 30 s unless it is given. */
  idleSeconds?: number
  /** PostgreSQL's, for every connection of the pool. */
  settings?: Record<string, string>
}

/** A pool and a typed query builder over the same connections. */
export interface Database {
  kysely: Kysely<Tables>
  pool: pg.Pool
  close(): Promise<void>
}

/** What can run a statement: the pool, or a client inside a transaction. */
export type Connection = Pick<pg.Pool, 'query'> | pg.PoolClient

/** A statement with its values. */
export type Query = pg.QueryConfig
