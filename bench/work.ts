import { setTimeout as delay } from 'node:timers/promises'
import type { Contender, Running } from './contender.ts'
import { bareExpress } from './contenders/bare-express.ts'
import { bullmqOnPostgres, bullmqOnRedis } from './contenders/bullmq.ts'
import { graphileWorker, pgBoss } from './contenders/job-queues.ts'
import { millraceEmbedded, millraceOnRedis } from './contenders/millrace.ts'
import { plain } from './contenders/plain.ts'
import { startReceiver } from './receiver.ts'
import type { Stores } from './stores.ts'
import { wrk } from './wrk.ts'

/** Everything that is measured, each with those who can do it. */
export const works: Work[] = [
  {
    name: 'accept',
    title: 'Accepted a second, 32 connections, workers running',
    unit: 'requests/s',
    contenders: [millraceOnRedis, millraceEmbedded, plain],
    measure: (contender, stores, size) => accept(contender, stores, { seconds: size.seconds, paused: false }),
  },
  {
    name: 'accept-paused',
    title: 'Accepted a second, 32 connections, workers paused',
    unit: 'requests/s',
    contenders: [millraceOnRedis, millraceEmbedded, plain, bareExpress],
    measure: (contender, stores, size) => accept(contender, stores, { seconds: size.seconds, paused: true }),
  },
  {
    name: 'life',
    title: 'Created and succeeded a second, a model that does nothing',
    unit: 'predictions/s',
    contenders: [
      millraceOnRedis,
      millraceEmbedded,
      plain,
      bullmqOnRedis,
      bullmqOnPostgres,
      graphileWorker,
      pgBoss,
    ],
    measure: (contender, stores, size) => life(contender, stores, size.count),
  },
  {
    name: 'life-webhooks',
    title: 'Created, succeeded and told in two signed webhooks a second',
    unit: 'predictions/s',
    contenders: [millraceOnRedis, millraceEmbedded, plain],
    measure: (contender, stores, size) => lifeWithWebhooks(contender, stores, size.count),
  },
]

async function accept(contender: Contender, stores: Stores, { seconds, paused }: Accept): Promise<Figures> {
  return using(await contender.start(stores, { paused }), async (running) => {
    const request = running.request?.()
    if (!request) throw new Error(`${contender.name} has no API`)
    await wrk(request, 2)
    const { perSecond, p50, p99, failed } = await wrk(request, seconds)
    if (failed > 0) throw new Error(`${failed} requests failed`)
    return { rate: perSecond, p50, p99 }
  })
}

async function life(contender: Contender, stores: Stores, count: number): Promise<Figures> {
  return using(await contender.start(stores), async (running) => {
    await throughput(running, { count: Math.ceil(count / 10), done: () => running.done() })
    return { rate: await throughput(running, { count, done: () => running.done() }) }
  })
}

async function lifeWithWebhooks(contender: Contender, stores: Stores, count: number): Promise<Figures> {
  const receiver = await startReceiver()
  return using(await contender.start(stores), async (running) => {
    const done = async () => Math.floor(receiver.received() / 2)
    await throughput(running, { count: Math.ceil(count / 10), done, webhookUrl: receiver.url })
    return { rate: await throughput(running, { count, done, webhookUrl: receiver.url }) }
  }).finally(() => receiver.close())
}

/** Hands in so much and waits until it is done. Answers how much that was a second. */
async function throughput(running: Running, { count, done, webhookUrl }: Throughput): Promise<number> {
  const before = await done()
  const begun = performance.now()
  await running.load(count, webhookUrl)
  let last = before
  let lastChange = performance.now()
  for (;;) {
    const now = await done()
    if (now - before >= count) break
    if (now !== last) lastChange = performance.now()
    if (performance.now() - lastChange > 30_000)
      throw new Error(`it stood still at ${now - before} of ${count}`)
    last = now
    await delay(20)
  }
  return count / ((performance.now() - begun) / 1000)
}

async function using<T>(running: Running, measure: (running: Running) => Promise<T>): Promise<T> {
  try {
    return await measure(running)
  } finally {
    await running.stop()
  }
}

interface Accept {
  seconds: number
  paused: boolean
}

interface Throughput {
  count: number
  done(): Promise<number>
  webhookUrl?: string
}

/** What was measured; `rate` is what contenders are compared by. */
export type Figures = { rate: number } & Record<string, number>

export interface Size {
  /** How long a load of unlimited work lasts. */
  seconds: number
  /** How much limited work there is. */
  count: number
}

export interface Work {
  name: string
  title: string
  unit: string
  contenders: Contender[]
  measure(contender: Contender, stores: Stores, size: Size): Promise<Figures>
}
