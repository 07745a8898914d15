import { readFile } from 'node:fs/promises'
import { connect } from '@millrace/database/connect'
import { migrate } from '@millrace/database/migrate'
import { ensurePartitions, partitionedTables } from '@millrace/database/partitions'
import { expect, test } from 'vitest'
import { emptyDatabase, freshDatabase } from './harness/database.ts'

test('the table types in the code name the columns of the migrated schema', async () => {
  const { db, drop } = await freshDatabase()
  const { rows } = await db.pool.query<{ table: string; columns: string[] }>(
    `select c.relname as table, array_agg(a.attname::text order by a.attname) as columns
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
     group by c.relname order by c.relname`,
  )

  const types = await declaredTables()

  expect(types).toEqual(Object.fromEntries(rows.map(({ table, columns }) => [table, columns])))
  await drop()
})

test('partitions reach 30 days ahead, by month and by day, and making them twice changes nothing', async () => {
  const { url, drop } = await emptyDatabase()
  await migrate(url, { partitions: 'day' })
  const db = connect({ url, name: 'millrace-test' })
  const names = async () =>
    (
      await db.pool.query<{ name: string }>(
        `select relname as name from pg_class where relispartition and relkind = 'r' order by 1`,
      )
    ).rows

  const first = await names()
  await Promise.all([ensurePartitions(db.pool, 'day'), ensurePartitions(db.pool, 'day')])

  expect(await names()).toEqual(first)
  expect(first.length).toBe(partitionedTables.length * 32)
  // Changing to months adds only what no day covers yet, and refuses nothing.
  await ensurePartitions(db.pool, 'month')
  await db.close()
  await drop()
})

/** The columns that packages/database/src/tables.ts declares, read from its text: types leave nothing at run time. */
async function declaredTables(): Promise<Record<string, string[]>> {
  const text = await readFile(new URL('../packages/database/src/tables.ts', import.meta.url), 'utf8')
  const block = (name: string) =>
    new RegExp(`interface ${name} \\{\\n([\\s\\S]*?)\\n\\}`).exec(text)?.[1] ?? ''
  const fields = (body: string) =>
    [...body.matchAll(/(?:^|[;{\n])\s*(\w+)\??:/g)].map(([, name]) => name ?? '').sort()
  const tables = block('Tables').matchAll(/^ {2}(\w+): (\{[\s\S]*?\}|\w+)$/gm)
  return Object.fromEntries(
    [...tables].map(([, name = '', type = '']) => [
      name,
      fields(type.startsWith('{') ? type.slice(1, -1) : block(type)),
    ]),
  )
}
