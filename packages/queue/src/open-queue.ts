import type { Queue as BullQueue } from 'bullmq'
import { type Connected, connectSurely } from './connect-surely.ts'
import { overPostgres } from './over-postgres.ts'
import { overRedis } from './over-redis.ts'
import { createSignals } from './signals.ts'

/**
 * The doorbell: wakes workers by BullMQ and carries signals between processes, on Redis (`redisUrl`) or on Postgres.
 * It holds no truth: everything it loses is rung again by the sweeper or seen by a poll, so nothing here rejects and
 * nothing waits for it.
 */
export function openQueue(options: QueueOptions): Queue {
  const transport = options.redisUrl
    ? overRedis(options.redisUrl, options.prefix)
    : overPostgres(options.databaseUrl)
  const report = options.onError ?? (() => {})
  const pools = new Map<string, Connected<BullQueue>>()
  const bells = new Map<string, Bells>()
  const closers: (() => Promise<unknown>)[] = []
  const signals = createSignals(transport.channel(report), report)

  function poolQueue(pool: string): BullQueue {
    const queue = pools.get(pool) ?? connectSurely(() => transport.queue(bellQueue(pool)), report)
    pools.set(pool, queue)
    return queue.current()
  }

  function bellsOf(pool: string): Bells {
    const known = bells.get(pool)
    if (known) return known
    const own = {
      gathering: new Set<string>(),
      sending: false,
      waiting: 0,
      countedAt: Number.NEGATIVE_INFINITY,
    }
    bells.set(pool, own)
    return own
  }

  async function send(pool: string, own: Bells): Promise<void> {
    own.sending = true
    try {
      await Promise.resolve() // what is rung for in one go leaves together
      while (own.gathering.size > 0) {
        const jobs = [...own.gathering].map((model) => ({ name: 'bell', data: { model }, opts: bellOptions }))
        own.gathering.clear()
        if (!(await areEnough(pool, own))) await poolQueue(pool).addBulk(jobs)
      }
    } catch (error) {
      report(error)
    } finally {
      own.sending = false
    }
  }

  /**
   * Whether as many bells wait as should. Few are counted once a second; many each time, since they may be answered
   * within a fraction of that, and then nobody would be woken for the rest of it.
   */
  async function areEnough(pool: string, own: Bells): Promise<boolean> {
    const many = own.waiting >= maxWaiting
    if (many || performance.now() - own.countedAt > 1_000) {
      own.countedAt = performance.now()
      const counted = poolQueue(pool)
        .getWaitingCount()
        .then((waiting) => {
          own.waiting = waiting
        })
      if (many) await counted
      else void counted.catch(report)
    }
    return own.waiting >= maxWaiting
  }

  return {
    kind: options.redisUrl ? 'redis' : 'postgres',

    ring(pool, model) {
      const own = bellsOf(pool)
      own.gathering.add(model)
      if (!own.sending) void send(pool, own)
    },

    async answer(pool, handler) {
      const take = async ({ data }: { data: unknown }) => handler(data as Bell)
      const worker = connectSurely(() => transport.worker(bellQueue(pool), take), report)
      closers.push(worker.close)
      return worker.close
    },

    signal: signals.send,
    listen: signals.listen,
    ready: () => transport.ready(),

    async close() {
      await Promise.all(closers.map((close) => close()))
      await signals.close()
      await Promise.all([...pools.values()].map((queue) => queue.close()))
      await transport.close().catch(report)
    },
  }
}

/** Bells of one pool that may wait for a worker: past it, those that wait are enough. */
const maxWaiting = 100

// No jobId (both backends swallow a re-add while the old job lives), nothing kept, one attempt: a bell is only a hint.
const bellOptions = { removeOnComplete: true, removeOnFail: true, attempts: 1 } as const

const bellQueue = (pool: string): string => `bells-${pool}`

/** A wake-up for the workers of a pool: this model has something to claim. */
export interface Bell {
  model: string
}

/**
 * `changed`: look at these predictions again. `cancel`: stop them. `due`: webhooks wait to be sent. `callback`: the host of
 * their runs reported. `keys`: look anew at who these keys, accounts and plans are.
 */
export type Topic = 'changed' | 'cancel' | 'due' | 'callback' | 'keys'

export interface Queue {
  kind: 'redis' | 'postgres'
  /** Wakes a worker of the pool. Rings of a model gather while the pool's last bells are on their way. */
  ring(pool: string, model: string): void
  answer(pool: string, handler: (bell: Bell) => Promise<void>): Promise<() => Promise<void>>
  signal(topic: Topic, ids: string[]): void
  /** Calls `listener` for each signal, until what this answers is called. */
  listen(topic: Topic, listener: (ids: string[]) => void): () => void
  ready(): boolean
  close(): Promise<void>
}

export interface QueueOptions {
  databaseUrl: string
  redisUrl?: string | undefined
  prefix?: string | undefined
  name: string
  onError?: (error: unknown) => void
}

interface Bells {
  /** Models that have been rung for since the last bells left. */
  gathering: Set<string>
  sending: boolean
  waiting: number
  countedAt: number
}
