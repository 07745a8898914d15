import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import pg from 'pg'
import { copyOut } from './copy-rows.ts'
import { timeOfId } from './ids.ts'
import { appliedMigrations } from './migrations.ts'
import { partitionedTables, partitionKeys, partitionName } from './partitions.ts'

/**
 * Writes every row of the database into `folder`, as of one moment, while others go on writing: a file per table in the
 * text of COPY, which every version of PostgreSQL reads, and a list of contents that names the schema. The queue is left
 * out, since what it holds is rung again.
 */
export async function dumpDatabase(url: string, folder: string): Promise<Dump> {
  const client = new pg.Client({ connectionString: url, application_name: 'millrace-backup' })
  client.on('error', () => {}) // the query under way tells it
  await client.connect()
  try {
    await mkdir(folder, { recursive: true })
    await client.query('begin isolation level repeatable read read only')
    await client.query(`set local timezone = 'UTC'`)
    const migrations = [...(await appliedMigrations(client))].sort()
    const { rows } = await client.query<{ now: Date }>('select clock_timestamp() as now')
    const takenAt = (rows[0]?.now ?? new Date()).toISOString()
    const since = await firstMoment(client)
    const tables: DumpedTable[] = []
    for (const table of await findTables(client)) {
      const rows = await dumpTable(client, table, join(folder, `${table.name}.copy`))
      tables.push({ ...table, rows })
    }
    const dump: Dump = { takenAt, migrations, since, tables }
    await writeFile(join(folder, contents), `${JSON.stringify(dump, undefined, 2)}\n`, { flush: true })
    return dump
  } finally {
    await client.end()
  }
}

/** The ids of a table's rows in a dump. */
export async function dumpedIds(folder: string, table: string): Promise<string[]> {
  const { tables }: Dump = JSON.parse(await readFile(join(folder, contents), 'utf8'))
  const column = tables.find(({ name }) => name === table)?.columns.indexOf('id') ?? -1
  const ids: string[] = []
  for await (const line of createInterface(createReadStream(join(folder, `${table}.copy`)))) {
    const id = line.split('\t')[column]
    if (id) ids.push(id)
  }
  return ids
}

/** The list of contents in a dump's folder. */
export const contents = 'contents.json'

/** In the order in which they can be loaded: a table comes after those that it refers to. */
async function findTables(client: pg.Client): Promise<Omit<DumpedTable, 'rows'>[]> {
  const { rows } = await client.query<FoundTable>(
    `select c.relname as name, array_agg(a.attname::text order by a.attnum) as columns,
       array(select distinct r.relname::text from pg_constraint f join pg_class r on r.oid = f.confrelid
             where f.conrelid = c.oid and f.contype = 'f' and f.confrelid <> c.oid) as "refersTo"
     from pg_class c
     join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
       and c.relname <> 'migrations' and c.relname !~ $1
     group by c.oid, c.relname order by c.oid`,
    [partitionName],
  )
  const ordered: FoundTable[] = []
  const isThere = (name: string) => ordered.some((table) => table.name === name)
  for (let left = rows; left.length > 0; left = rows.filter(({ name }) => !isThere(name))) {
    const next = left.filter(({ refersTo }) => refersTo.every(isThere))
    // Tables that refer to each other would be as good in any order.
    ordered.push(...(next.length > 0 ? next : left))
  }
  return ordered.map(({ name, columns }) => ({ name, columns }))
}

async function dumpTable(
  client: pg.Client,
  { name, columns }: Omit<DumpedTable, 'rows'>,
  path: string,
): Promise<number> {
  const file = createWriteStream(path, { flush: true, mode: 0o600 })
  const failed = once(file, 'error').then(([error]) => Promise.reject(error))
  const list = columns.map(pg.escapeIdentifier).join(', ')
  // Not the table by its name: COPY would leave out the rows of partitions.
  const sql = `copy (select ${list} from ${pg.escapeIdentifier(name)}) to stdout`
  const rows = await Promise.race([copyOut(client, sql, file), failed])
  const closed = once(file, 'close')
  file.end()
  await Promise.race([closed, failed])
  return rows
}

/** When the oldest row of a partitioned table was made: the partitions must reach back to it. */
async function firstMoment(client: pg.Client): Promise<string | null> {
  const { rows } = await client.query<{ id: string | null }>(
    `select least(${partitionedTables.map((table) => `(select ${partitionKeys[table]} from ${table} order by 1 limit 1)`).join(', ')}) as id`,
  )
  const id = rows[0]?.id
  return id ? new Date(timeOfId(id)).toISOString() : null
}

export interface Dump {
  takenAt: string
  /** The schema that the rows are of. */
  migrations: string[]
  /** The moment of the oldest row that is kept by its time. */
  since: string | null
  tables: DumpedTable[]
}

interface FoundTable {
  name: string
  columns: string[]
  refersTo: string[]
}

interface DumpedTable {
  name: string
  columns: string[]
  rows: number
}
