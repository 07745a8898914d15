import { Queue as BullQueue, createPostgresBackend, createPostgresRelayBackend, Relay, Worker } from 'bullmq'
import { Cluster, Redis } from 'ioredis'
import { createSignals } from './signals.ts'

/**
 * The doorbell: wakes workers and carries signals between processes, over BullMQ on Redis (`redisUrl`) or on Postgres.
 * It holds no truth: everything it loses is rung again by the sweeper or seen by a poll, so nothing here rejects and
 * nothing waits for it.
 */
export function openQueue(options: QueueOptions): Queue {
  const transport = options.redisUrl
    ? overRedis(options.redisUrl, options.prefix)
    : overPostgres(options.databaseUrl)
  const report = options.onError ?? (() => {})
  const pools = new Map<string, BullQueue>()
  const backlogs = new Map<string, Backlog>()
  const closers: (() => Promise<unknown>)[] = []
  const signals = createSignals(transport.relay(options.prefix), report)

  function poolQueue(pool: string): BullQueue {
    const known = pools.get(pool)
    if (known) return known
    const queue = transport.queue(bellQueue(pool))
    queue.on('error', report)
    pools.set(pool, queue)
    return queue
  }

  /** How many bells are on their way and how many wait to be answered; the latter counted at most once a second. */
  function backlogOf(pool: string): Backlog {
    const backlog = backlogs.get(pool) ?? { sending: 0, waiting: 0, countedAt: 0 }
    backlogs.set(pool, backlog)
    if (Date.now() - backlog.countedAt > 1_000) {
      backlog.countedAt = Date.now()
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
      const worker = transport.worker(bellQueue(pool), async ({ data }) => handler(data as Bell))
      worker.on('error', report)
      const stop = async () => {
        await worker.close().catch(report)
      }
      closers.push(stop)
      return stop
    },

    signal: signals.send,
    listen: signals.listen,
    ready: () => transport.ready(),

    async close() {
      await Promise.all(closers.map((close) => close()))
      await signals.close()
      await Promise.all([...pools.values()].map((queue) => queue.close().catch(report)))
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

function overRedis(url: string, prefix = 'millrace'): Transport {
  const connections: (Redis | Cluster)[] = []
  const open = (blocking: boolean) => {
    const connection = redisConnection(url, blocking)
    connections.push(connection)
    return connection
  }
  const sending = open(false)
  const hashTagged = `{${prefix}}`
  return {
    queue: (name) =>
      new BullQueue(name, { connection: sending, prefix: hashTagged, skipWaitingForReady: true }),
    worker: (name, process) =>
      new Worker(name, process, { connection: open(true), prefix: hashTagged, concurrency: bellsAtOnce }),
    relay: () => new Relay({ connection: open(true), prefix: hashTagged }),
    ready: () => sending.status === 'ready',
    close: async () => {
      for (const connection of connections) connection.disconnect()
    },
  }
}

/** `redis://…`, `rediss://…`, or several cluster nodes separated by commas. */
function redisConnection(url: string, blocking: boolean): Redis | Cluster {
  const options = {
    maxRetriesPerRequest: blocking ? null : 1,
    retryStrategy: (tries: number) => Math.min(tries * 200, 2_000),
  }
  const nodes = url.split(',')
  const connection =
    nodes.length > 1
      ? new Cluster(nodes, { redisOptions: options })
      : new Redis(url, { ...options, enableOfflineQueue: blocking })
  connection.on('error', () => {})
  return connection
}

// Each gets a small pool of its own: with a shared one LISTEN clients can take every connection and hang the rest.
// BullMQ makes its own schema at the first connect, under an advisory lock of its own.
function overPostgres(url: string): Transport {
  const connection = { connectionString: url, max: 3, schema: 'bullmq', migrate: true }
  return {
    queue: (name) => new BullQueue(name, { connection }, createPostgresBackend) as unknown as BullQueue,
    worker: (name, process) =>
      new Worker(
        name,
        process,
        { connection, concurrency: bellsAtOnce },
        createPostgresBackend,
      ) as unknown as Worker,
    relay: () => new Relay({ connection, backend: createPostgresRelayBackend }) as unknown as Relay,
    ready: () => true,
    close: async () => {},
  }
}

/** Bells one process answers at a time: each only claims up to its free slots and returns. */
const bellsAtOnce = 4

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
  listen(topic: Topic, listener: (ids: string[]) => void): Promise<() => Promise<void>>
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

interface Transport {
  queue(name: string): BullQueue
  worker(name: string, process: (job: { data: unknown }) => Promise<void>): Worker
  relay(prefix?: string): Relay
  ready(): boolean
  close(): Promise<void>
}
