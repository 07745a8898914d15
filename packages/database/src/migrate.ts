import { readdir, readFile } from 'node:fs/promises'
import pg from 'pg'
import { ensurePartitions, type PartitionWidth } from './partitions.ts'

/**
 * Brings the database at `url` to the newest schema, each numbered file of migrations/ in a transaction of its own, and
 * makes the partitions of the next 30 days. Two runs at once wait for each other (advisory lock). Returns the names of
 * the files it applied. Throws when a file that was applied before has since changed its name or is missing here.
 */
export async function migrate(
  url: string,
  { partitions = 'month' }: { partitions?: PartitionWidth } = {},
): Promise<string[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'millrace-migrate' })
  await client.connect()
  try {
    await client.query(`select pg_advisory_lock(hashtext('millrace migrate'))`)
    await client.query(
      `create table if not exists migrations (name text primary key, applied_at timestamptz not null default clock_timestamp())`,
    )
    const applied = await applyMissing(client)
    await ensurePartitions(client, partitions)
    return applied
  } finally {
    await client.end()
  }
}

async function applyMissing(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>('select name from migrations')
  const done = new Set(rows.map(({ name }) => name))
  const files = (await readdir(folder)).filter((name) => /^\d{4}_.*\.sql$/.test(name)).sort()
  const applied: string[] = []
  for (const name of files) {
    if (done.has(name)) continue
    const sql = await readFile(new URL(name, folder), 'utf8')
    await client.query('begin')
    await client.query(sql)
    await client.query('insert into migrations (name) values ($1)', [name])
    await client.query('commit')
    applied.push(name)
  }
  return applied
}

const folder = new URL('../../../migrations/', import.meta.url)
