import { Cluster, Redis } from 'ioredis'

/**
 * Connects to Redis or Valkey: `redis://…`, `rediss://…`, or several cluster nodes separated by commas. What is sent while
 * it is away waits for it only where it may be sent again for ever (`maxRetriesPerRequest: null`).
 */
export function connectRedis(url: string, settings: RedisSettings): Redis | Cluster {
  const options = {
    ...settings,
    connectTimeout: 5_000,
    retryStrategy: (tries: number) => Math.min(tries * 200, 2_000),
  }
  const nodes = url.split(',')
  const connection =
    nodes.length > 1
      ? new Cluster(nodes, { redisOptions: options })
      : new Redis(url, { ...options, enableOfflineQueue: settings.maxRetriesPerRequest === null })
  connection.on('error', () => {})
  return connection
}

export interface RedisSettings {
  maxRetriesPerRequest: number | null
  socketTimeout: number
  commandTimeout?: number
}
