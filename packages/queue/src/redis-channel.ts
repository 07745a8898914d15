import type { Cluster, Redis } from 'ioredis'
import type { Channel } from './channel.ts'
import type { Topic } from './open-queue.ts'

/** Redis's own publish and subscribe: one command a message, whoever listens. */
export function redisChannel({ sending, openListening, prefix, report }: RedisChannelOptions): Channel {
  const listeners = new Map<string, (text: string) => void>()
  const nameOf = (topic: Topic) => `${prefix}:signal:${topic}`
  let listening: Redis | Cluster | undefined
  let asking: NodeJS.Timeout | undefined

  function listen(): Redis | Cluster {
    const connection = openListening()
    connection.on('message', (name, text) => listeners.get(name)?.(text))
    // One that only listens would not notice that the other end is gone: with no answer to this it is opened anew.
    asking = setInterval(() => {
      if (connection.status === 'ready') void connection.ping().catch(() => {})
    }, askEveryMs)
    return connection
  }

  return {
    async publish(topic, text) {
      await sending.publish(nameOf(topic), text)
    },
    subscribe(topic, listener) {
      listeners.set(nameOf(topic), listener)
      listening ??= listen()
      // It waits for the connection, and ioredis repeats it after each break.
      void listening.subscribe(nameOf(topic)).catch(report)
    },
    async close() {
      clearInterval(asking)
      listening?.disconnect()
    },
  }
}

const askEveryMs = 3_000

interface RedisChannelOptions {
  sending: Redis | Cluster
  /** Opens a connection for listening alone, which waits as long as it takes. */
  openListening: () => Redis | Cluster
  prefix: string
  report: (error: unknown) => void
}
