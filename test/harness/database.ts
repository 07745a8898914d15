import { randomBytes } from 'node:crypto'
import { connect, type Database } from '@millrace/database/connect'
import pg from 'pg'
import { inject } from 'vitest'

/** An empty, migrated database of the test's own, cloned from the template. */
export async function freshDatabase(): Promise<FreshDatabase> {
  const template = new URL(inject('postgresUrl'))
  const name = `test_${randomBytes(8).toString('hex')}`
  await asAdmin(`create database ${name} template ${template.pathname.slice(1)}`)
  const url = databaseUrl(name)
  const db = connect({ url, max: 5, name: 'millrace-test' })
  return {
    url,
    db,
    async drop() {
      await db.close()
      await asAdmin(`drop database if exists ${name} with (force)`)
    },
  }
}

/** A database without any table, for the tests of migrations. */
export async function emptyDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  const name = `test_${randomBytes(8).toString('hex')}`
  await asAdmin(`create database ${name}`)
  return { url: databaseUrl(name), drop: () => asAdmin(`drop database if exists ${name} with (force)`) }
}

async function asAdmin(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl('postgres') })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

function databaseUrl(name: string): string {
  const url = new URL(inject('postgresUrl'))
  url.pathname = `/${name}`
  return url.href
}

export interface FreshDatabase {
  url: string
  db: Database
  /** Closes `db` and removes the database, whoever is still connected. */
  drop(): Promise<void>
}
