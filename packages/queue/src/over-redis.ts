import { Queue, Worker } from 'bullmq'
import type { Cluster, Redis } from 'ioredis'
import { connectRedis, type RedisSettings } from './connect-redis.ts'
import { redisChannel } from './redis-channel.ts'
import { bellsAtOnce, retryMs, type Transport } from './transport.ts'

/** BullMQ over Redis or Valkey: `redis://…`, `rediss://…`, or several cluster nodes separated by commas. */
export function overRedis(url: string, prefix = 'millrace'): Transport {
  const hashTagged = `{${prefix}}`
  const connections: (Redis | Cluster)[] = []
  const open = (settings: RedisSettings) => {
    const connection = connectRedis(url, settings)
    connections.push(connection)
    return connection
  }
  const sending = open(sendingSettings)
  return {
    // Without the check of the version nothing is asked before the first bell: unanswered, it would never ring one.
    queue: (name) =>
      new Queue(name, {
        connection: sending,
        prefix: hashTagged,
        skipWaitingForReady: true,
        skipVersionCheck: true,
      }),
    worker: (name, process) =>
      new Worker(name, process, {
        connection: open(waitingSettings),
        prefix: hashTagged,
        concurrency: bellsAtOnce,
        runRetryDelay: retryMs,
      }),
    channel: (report) =>
      redisChannel({ sending, openListening: () => open(waitingSettings), prefix: hashTagged, report }),
    ready: createPulse(sending, `${hashTagged}:pulse`),
    close: async () => {
      for (const connection of connections) connection.disconnect()
    },
  }
}

/**
 * Tells whether Redis takes a write, as of the last look: one that is paused, cut off or out of memory keeps its
 * connections and answers no bell. Each call looks again for the next one.
 */
function createPulse(redis: Redis | Cluster, key: string): () => boolean {
  let alive = true
  let looking = false
  return () => {
    if (!looking) {
      looking = true
      void redis
        .set(key, '', 'PX', 60_000)
        .then(
          () => true,
          () => false,
        )
        .then((answered) => {
          alive = answered
          looking = false
        })
    }
    return alive
  }
}

/** A bell that cannot be sent now is not worth keeping: the sweeper rings again. */
const sendingSettings: RedisSettings = {
  maxRetriesPerRequest: 1,
  commandTimeout: 1_000,
  socketTimeout: 2_000,
}

/** BullMQ waits 5 s for a bell at a time. A connection that is silent for longer is dead, whatever TCP thinks. */
const waitingSettings: RedisSettings = { maxRetriesPerRequest: null, socketTimeout: 8_000 }
