import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { copyIn } from './copy-rows.ts'
import { contents, type Dump } from './dump.ts'
import { alone, apply, migrate } from './migrate.ts'
import { migrationNames } from './migrations.ts'
import { ensurePartitions } from './partitions.ts'

/**
 * Loads a dump into an empty database: the schema that the rows are of, the rows, then the migrations since. `before`
 * runs once it is clear that this can be done. Everything up to the rows is one transaction, so a load that is cut short
 * leaves the database empty. Throws LoadError when the database is not empty or the dump is of a newer release.
 */
export async function loadDatabase(
  url: string,
  folder: string,
  before: () => Promise<void> = async () => {},
): Promise<void> {
  const dump: Dump = JSON.parse(await readFile(join(folder, contents), 'utf8'))
  await alone(url, async (client) => {
    await assertFits(client, dump)
    await before()
    await client.query('begin')
    for (const name of dump.migrations) await apply(client, name)
    await ensurePartitions(client, 'month', daysSince(dump.since))
    // What the migrations put there, such as the plans, is in the dump as it was by then.
    const names = dump.tables.map(({ name }) => pg.escapeIdentifier(name))
    if (names.length > 0) await client.query(`truncate ${names.join(', ')}`)
    for (const table of dump.tables) await loadTable(client, table, folder)
    await resumeRuns(client, dump.takenAt)
    await client.query('commit')
    await client.query('analyze')
  })
  await migrate(url)
}

/** Why a dump cannot be loaded, in words. */
export class LoadError extends Error {
  override readonly name = 'LoadError'
  readonly reason: 'not-empty' | 'newer' | 'damaged'

  constructor(reason: LoadError['reason'], message: string) {
    super(message)
    this.reason = reason
  }
}

async function assertFits(client: pg.Client, { migrations }: Dump): Promise<void> {
  const known = new Set(await migrationNames())
  const unknown = migrations.filter((name) => !known.has(name))
  if (unknown.length > 0)
    throw new LoadError(
      'newer',
      `It is of a newer release, which has ${unknown.join(', ')}. Restore it with that one.`,
    )
  const { rows } = await client.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') limit 1`,
  )
  if (rows[0])
    throw new LoadError('not-empty', `The database is not empty: there is a table "${rows[0].name}".`)
}

async function loadTable(client: pg.Client, table: Dump['tables'][number], folder: string): Promise<void> {
  const columns = table.columns.map(pg.escapeIdentifier).join(', ')
  const rows = await copyIn(
    client,
    `copy ${pg.escapeIdentifier(table.name)} (${columns}) from stdin`,
    createReadStream(join(folder, `${table.name}.copy`)),
  )
  if (rows !== table.rows)
    throw new LoadError('damaged', `${table.name}.copy has ${rows} rows where ${table.rows} were written.`)
}

/**
 * Whoever held a run did so in another database; that it holds it no more is no crash. And no time has passed for a run
 * since the dump was taken, or all of an old one would be too late.
 */
async function resumeRuns(client: pg.Client, takenAt: string): Promise<void> {
  await client.query(
    `update runs set worker = null, lease_until = null,
       start_by = start_by + (clock_timestamp() - $1::timestamptz),
       run_by = run_by + (clock_timestamp() - $1::timestamptz)`,
    [takenAt],
  )
}

function daysSince(moment: string | null): number {
  return moment === null ? 1 : Math.max(1, Math.ceil((Date.now() - Date.parse(moment)) / 86_400_000) + 1)
}
