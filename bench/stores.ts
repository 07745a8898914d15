import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { startEmbeddedPostgres } from '@millrace/standalone/embedded-postgres'
import { freePort } from '@millrace/standalone/ports'
import { Redis } from 'ioredis'
import pg from 'pg'

/**
 * A PostgreSQL and a Redis that nobody else uses, as fresh as they can be. `stop` removes all they kept. With a folder
 * for profiles, what each statement cost is written there when a database is dropped.
 */
export async function startStores(profiles?: string): Promise<Stores> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'))
  const [postgres, redis] = await Promise.all([
    startEmbeddedPostgres({
      dataDir: folder,
      ...(profiles && { settings: ['shared_preload_libraries=pg_stat_statements'] }),
    }),
    startRedis(folder),
  ])
  let databases = 0
  return {
    redisUrl: redis.url,
    async fresh() {
      await redis.admin.flushall()
      const name = `bench_${++databases}`
      await query(postgres.url, `create database ${name}`)
      const url = new URL(postgres.url)
      url.pathname = `/${name}`
      if (profiles)
        await query(url.href, 'create extension pg_stat_statements; select pg_stat_statements_reset()')
      return {
        databaseUrl: url.href,
        async drop() {
          if (profiles) await writeStatements(url.href, join(profiles, `${name}.txt`))
          await query(postgres.url, `drop database ${name} with (force)`)
        },
      }
    },
    async stop() {
      redis.stop()
      await postgres.stop({ hurry: true })
      if (!postgres.folder.startsWith(folder)) await rm(dirname(postgres.folder), { recursive: true })
      await rm(folder, { recursive: true })
    },
  }
}

async function startRedis(folder: string): Promise<{ url: string; admin: Redis; stop(): void }> {
  const port = await freePort()
  // As BullMQ's guide asks for in production: nothing is evicted, and what is written is kept within a second.
  const settings = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', '']
  const child = spawn('redis-server', [...settings, '--appendonly', 'yes', '--appendfsync', 'everysec'], {
    stdio: 'ignore',
  })
  process.once('exit', () => child.kill('SIGKILL'))
  await Promise.race([
    once(child, 'spawn'),
    once(child, 'error').then(([error]) => Promise.reject(new Error(`redis-server did not start: ${error}`))),
  ])
  const url = `redis://127.0.0.1:${port}`
  const admin = new Redis(url, { maxRetriesPerRequest: null })
  admin.on('error', () => {})
  await admin.ping()
  return {
    url,
    admin,
    stop() {
      admin.disconnect()
      child.kill('SIGKILL')
    },
  }
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query(sql).finally(() => client.end())
  return rows
}

/** The statements that took longest in all, a line each. */
async function writeStatements(url: string, file: string): Promise<void> {
  const rows = await query(
    url,
    `select round(total_exec_time) as ms, calls, rows, round(mean_exec_time::numeric, 3) as "ms each",
       wal_bytes / 1024 as "KB of log", left(regexp_replace(query, '\\s+', ' ', 'g'), 150) as statement
     from pg_stat_statements join pg_database d on d.oid = dbid where datname = current_database()
     order by total_exec_time desc limit 40`,
  )
  const lines = rows.map((row) => Object.values(row).join('\t'))
  await writeFile(file, [Object.keys(rows[0] ?? {}).join('\t'), ...lines, ''].join('\n'))
}

export interface Stores {
  redisUrl: string
  /** An empty database, and an empty Redis. */
  fresh(): Promise<FreshStores>
  stop(): Promise<void>
}

export interface FreshStores {
  databaseUrl: string
  drop(): Promise<void>
}
