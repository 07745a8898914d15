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
  const backlogs = new Map<string, Backlog>()
  const closers: (() => Promise<unknown>)[] = []
  const signals = createSignals(transport.channel(report), report)

  function poolQueue(pool: string): BullQueue {
    const queue = pools.get(pool) ?? connectSurely(() => transport.queue(bellQueue(pool)), report)
    pools.set(pool, queue)
    return queue.current()
  }

  /** How many bells are on their way and how many wait to be answered; the latter counted at most once a second. */
  function backlogOf(pool: string): Backlog {
    const backlog = backlogs.get(pool) ?? { sending: 0, waiting: 0, countedAt: Number.NEGATIVE_INFINITY }
    backlogs.set(pool, backlog)
    if (performance.now() - backlog.countedAt > 1_000) {
      backlog.countedAt = performance.now()
      void poolQueue(pool)
        .getWaitingCount()
        .then((count) => {
          backlog.waiting = count
        })
        .catch(report)
    }
    return backlog
  }

  return {
    kind: options.redisUrl ? 'redis' : 'postgres',

    ring(pool, model, ids) {
      const backlog = backlogOf(pool)
      if (backlog.sending >= maxSending || backlog.waiting >= maxWaiting) return
      backlog.sending++
      const bells = chunks(ids, 100).map((chunk) => ({
        name: 'bell',
        data: { model, ids: chunk },
        opts: bellOptions,
      }))
      void poolQueue(pool)
        .addBulk(bells)
        .catch(report)
        .finally(() => backlog.sending--)
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

/** Bells of one pool that may be on their way, and that may wait for a worker: past it, those that wait are enough. */
const maxSending = 64
const maxWaiting = 1_000

// No jobId (both backends swallow a re-add while the old job lives), nothing kept, one attempt: a bell is only a hint.
const bellOptions = { removeOnComplete: true, removeOnFail: true, attempts: 1 } as const

const bellQueue = (pool: string): string => `bells-${pool}`

function chunks<T>(items: T[], size: number): T[][] {
  return Array.from({ length: Math.max(1, Math.ceil(items.length / size)) }, (_, nth) =>
    items.slice(nth * size, (nth + 1) * size),
  )
}

/** A wake-up for the workers of a pool: this model has something to claim. The ids are a hint. */
export interface Bell {
  model: string
  ids: string[]
}

/** `changed`: look at these predictions again. `cancel`: stop them. `due`: webhooks wait to be sent. */
export type Topic = 'changed' | 'cancel' | 'due'

export interface Queue {
  kind: 'redis' | 'postgres'
  ring(pool: string, model: string, ids: string[]): void
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

interface Backlog {
  sending: number
  waiting: number
  countedAt: number
}
