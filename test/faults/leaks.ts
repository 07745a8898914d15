import type { Database } from '@millrace/database/connect'
import { Redis } from 'ioredis'
import type { FaultyRedis } from './stores.ts'

/** Listens to all that passes through Redis, and says which of `secrets` it saw. */
export async function listenToRedis({ url }: FaultyRedis, secrets: Secrets): Promise<LeakWatch> {
  const seen = new Set<string>()
  const client = new Redis(url, { maxRetriesPerRequest: null })
  client.on('error', () => {})
  const monitor = await client.monitor()
  monitor.on('monitor', (_time: string, command: string[]) => {
    const text = command.join(' ')
    for (const [name, secret] of Object.entries(secrets)) if (text.includes(secret)) seen.add(name)
  })
  return {
    found: () => [...seen],
    stop() {
      monitor.disconnect()
      client.disconnect()
    },
  }
}

/** Which of `secrets` stand in what the queue keeps in Postgres. */
export async function secretsInQueueTables(db: Database, secrets: Secrets): Promise<string[]> {
  const { rows: tables } = await db.pool.query(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = 'bullmq'`,
  )
  const found = new Set<string>()
  for (const { name } of tables) {
    const { rows } = await db.pool.query(`select t::text as row from ${name} t`)
    for (const leak of secretsIn(rows.map(({ row }) => row).join('\n'), secrets)) found.add(leak)
  }
  return [...found]
}

/** The names of the `secrets` that stand in a text. */
export function secretsIn(text: string, secrets: Secrets): string[] {
  return Object.entries(secrets).flatMap(([name, secret]) => (text.includes(secret) ? [name] : []))
}

/** What nobody may be told, by what to call it. */
export type Secrets = Record<string, string>

export interface LeakWatch {
  found(): string[]
  stop(): void
}
