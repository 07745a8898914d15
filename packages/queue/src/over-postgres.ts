import type { EventEmitter } from 'node:events'
import { createPostgresBackend, Queue, Worker } from 'bullmq'
import { postgresChannel } from './postgres-channel.ts'
import { bellsAtOnce, retryMs, type Transport } from './transport.ts'

/**
 * BullMQ over Postgres. Each part gets a small pool of its own: with a shared one LISTEN clients can take every
 * connection and hang the rest. BullMQ makes its own schema at the first connect, under an advisory lock of its own.
 */
export function overPostgres(url: string): Transport {
  const connection = {
    connectionString: url,
    max: 3,
    schema: 'bullmq',
    migrate: true,
    // Without these a connection whose other end is gone would be waited for until TCP gives it up, a quarter of an hour.
    connectionTimeoutMillis: 5_000,
    query_timeout: 10_000,
    keepAlive: true,
    // BullMQ's first connection has no listener of its own: unheard, its breaking would end the process.
    onConnect: (client: EventEmitter) => void client.on('error', () => {}),
  }
  return {
    queue: (name) => new Queue(name, { connection }, createPostgresBackend) as unknown as Queue,
    worker: (name, process) =>
      new Worker(
        name,
        process,
        { connection, concurrency: bellsAtOnce, runRetryDelay: retryMs },
        createPostgresBackend,
      ) as unknown as Worker,
    channel: (report) => postgresChannel(url, report),
    ready: () => true,
    close: async () => {},
  }
}
