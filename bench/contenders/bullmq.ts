import { createPostgresBackend, Queue, Worker } from 'bullmq'
import { redisOf } from '../baselines/plain/settings.ts'
import { type Contender, callAtOnce, concurrency } from '../contender.ts'

/** BullMQ alone, in one process: a job is added and done, and nothing is stored. */
export const bullmqOnRedis: Contender = {
  name: 'raw BullMQ (Redis)',
  async start(stores) {
    const { drop } = await stores.fresh()
    const connection = redisOf(stores.redisUrl)
    const queue = new Queue('raw', { connection })
    let done = 0
    const worker = new Worker('raw', async () => void done++, { connection, concurrency })
    worker.on('error', (error) => console.error(error))
    queue.on('error', (error) => console.error(error))
    await worker.waitUntilReady()
    return {
      load: (count) => callAtOnce(count, () => queue.add('run', job, keepNone)),
      done: async () => done,
      async stop() {
        await worker.close(true)
        await queue.close()
        await drop()
      },
    }
  },
}

/** The same on BullMQ's PostgreSQL backend. */
export const bullmqOnPostgres: Contender = {
  name: 'raw BullMQ (Postgres)',
  async start(stores) {
    const { databaseUrl, drop } = await stores.fresh()
    const connection = { connectionString: databaseUrl, max: 10, migrate: true }
    const queue = new Queue('raw', { connection }, createPostgresBackend)
    await queue.waitUntilReady()
    let done = 0
    const worker = new Worker(
      'raw',
      async () => void done++,
      { connection, concurrency },
      createPostgresBackend,
    )
    worker.on('error', (error) => console.error(error))
    queue.on('error', (error) => console.error(error))
    await worker.waitUntilReady()
    return {
      load: (count) => callAtOnce(count, () => queue.add('run', job, keepNone)),
      done: async () => done,
      async stop() {
        await worker.close(true)
        await queue.close()
        await drop()
      },
    }
  },
}

const job = { model: 'noop', input: { prompt: 'nothing much' } }
const keepNone = { removeOnComplete: true, removeOnFail: true }
