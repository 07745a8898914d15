import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { faultOf } from './faults.ts'
import { appliedMigrations, migrationNames, readMigration } from './migrations.ts'
import { ensurePartitions, type PartitionWidth } from './partitions.ts'

/**
 * Brings the database at `url` to the newest schema, each numbered file of migrations/ in a transaction of its own, and
 * makes the partitions of the next 30 days. Two runs at once wait for each other. Returns the names of the files it
 * applied; those that a newer release has applied are left alone.
 */
export async function migrate(
  url: string,
  { partitions = 'month' }: { partitions?: PartitionWidth } = {},
): Promise<string[]> {
  return await alone(url, async (client) => {
    const done = await appliedMigrations(client)
    const missing = (await migrationNames()).filter((name) => !done.has(name))
    for (const name of missing) await applyPatiently(client, name)
    await ensurePartitions(client, partitions)
    return missing
  })
}

/** Runs `work` while nobody else migrates or loads this database (advisory lock). */
export async function alone<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: 'millrace-migrate' })
  client.on('error', () => {}) // the query under way tells it
  await client.connect()
  try {
    await client.query(`select pg_advisory_lock(hashtext('millrace migrate'))`)
    return await work(client)
  } finally {
    await client.end()
  }
}

/** Applies one file inside the caller's transaction. */
export async function apply(client: pg.Client, name: string): Promise<void> {
  await client.query(
    'create table if not exists migrations (name text primary key, applied_at timestamptz not null default clock_timestamp())',
  )
  await client.query(await readMigration(name))
  await client.query('insert into migrations (name) values ($1)', [name])
}

/**
 * A change of a table waits for whoever reads it, a pg_dump say, and everybody else then waits behind the change. So it
 * gives up soon, lets them pass and tries again.
 */
async function applyPatiently(client: pg.Client, name: string): Promise<void> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    try {
      await client.query('begin')
      await client.query(`set local lock_timeout = '500ms'`)
      await apply(client, name)
      await client.query('commit')
      return
    } catch (error) {
      await client.query('rollback').catch(() => {}) // the connection may be what failed
      if (faultOf(error) !== 'locked' || performance.now() > deadline) throw error
      await delay(1_000)
    }
  }
}

const patienceMs = 600_000
