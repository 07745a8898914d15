import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { startEmbeddedPostgres } from '@millrace/standalone/embedded-postgres'
import { freePort } from '@millrace/standalone/ports'
import { Redis } from 'ioredis'
import pg from 'pg'

/** A PostgreSQL and a Redis that nobody else uses, as fresh as they can be. `stop` removes all they kept. */
export async function startStores(): Promise<Stores> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'))
  const [postgres, redis] = await Promise.all([
    startEmbeddedPostgres({ dataDir: folder }),
    startRedis(folder),
  ])
  let databases = 0
  return {
    redisUrl: redis.url,
    async fresh() {
      await redis.admin.flushall()
      const name = `bench_${++databases}`
      await asAdmin(postgres.url, `create database ${name}`)
      const url = new URL(postgres.url)
      url.pathname = `/${name}`
      return {
        databaseUrl: url.href,
        drop: () => asAdmin(postgres.url, `drop database ${name} with (force)`),
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

async function asAdmin(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(sql).finally(() => client.end())
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
