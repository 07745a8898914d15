import { readdir, readFile } from 'node:fs/promises'
import type { Connection } from './connect.ts'

/** The numbered files of migrations/, in the order in which they apply. */
export async function migrationNames(): Promise<string[]> {
  return (await readdir(folder)).filter((name) => /^\d{4}_.*\.sql$/.test(name)).sort()
}

/** The text of one of them. */
export async function readMigration(name: string): Promise<string> {
  return await readFile(new URL(name, folder), 'utf8')
}

/** The names of those that a database has, none where it is empty. A newer release may have applied some unknown here. */
export async function appliedMigrations(connection: Connection): Promise<Set<string>> {
  const { rows: found } = await connection.query<{ exists: boolean }>(
    `select to_regclass('migrations') is not null as exists`,
  )
  if (!found[0]?.exists) return new Set()
  const { rows } = await connection.query<{ name: string }>('select name from migrations')
  return new Set(rows.map(({ name }) => name))
}

/**
 * Called by every process at its start. Throws OldSchemaError when this release has migrations that the database has
 * not; those of a newer release do not matter, since migrations leave the previous version's processes working.
 */
export async function assertMigrated(connection: Connection): Promise<void> {
  const applied = await appliedMigrations(connection)
  const missing = (await migrationNames()).filter((name) => !applied.has(name))
  if (missing.length > 0) throw new OldSchemaError(missing)
}

/** The database is older than this release. Its message tells what to do. */
export class OldSchemaError extends Error {
  override readonly name = 'OldSchemaError'

  constructor(missing: string[]) {
    super(
      `The database is older than this release: it lacks ${missing.join(', ')}. ` +
        "Run this release's `npm run migrate` (DATABASE_URL=postgres://… MASTER_KEY=… npm run migrate), then start " +
        'this process again. Processes of the previous version may go on meanwhile.',
    )
  }
}

const folder = new URL('../../../migrations/', import.meta.url)
