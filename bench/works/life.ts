import { cpus } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { type Contender, type Running, warmUp } from '../contender.ts'
import { bullmqOnPostgres, bullmqOnRedis } from '../contenders/bullmq.ts'
import { graphileWorker, pgBoss } from '../contenders/job-queues.ts'
import { millraceEmbedded, millraceMetered, millraceOnRedis } from '../contenders/millrace.ts'
import { movesAlone } from '../contenders/moves-alone.ts'
import { plain } from '../contenders/plain.ts'
import { startReceiver } from '../receiver.ts'
import { type Figures, using, type Work } from '../work.ts'

const columns = { rate: 'predictions/s', cpu: 'CPU of the machine for each (ms)' }

export const life: Work = {
  name: 'life',
  title: 'Created and succeeded a second, a model that does nothing',
  columns,
  rows: [
    millraceOnRedis,
    millraceMetered,
    millraceEmbedded,
    plain,
    bullmqOnRedis,
    bullmqOnPostgres,
    graphileWorker,
    pgBoss,
    movesAlone,
  ].map((contender: Contender) => ({
    name: contender.name,
    measure: async (stores, { count }) =>
      using(await contender.start(stores), async (running) => {
        const done = () => running.done()
        await throughput(running, { count: warmUpOf(count), done })
        return throughput(running, { count, done })
      }),
  })),
}

export const lifeWithWebhooks: Work = {
  name: 'life-webhooks',
  title: 'Created, succeeded and told in two signed webhooks a second',
  columns,
  rows: [millraceOnRedis, millraceMetered, millraceEmbedded, plain].map((contender) => ({
    name: contender.name,
    measure: async (stores, { count }) => {
      const receiver = await startReceiver()
      const webhookUrl = receiver.url
      return using(await contender.start(stores), async (running) => {
        const done = async () => Math.floor(receiver.received() / 2)
        await throughput(running, { count: warmUpOf(count), done, webhookUrl })
        return throughput(running, { count, done, webhookUrl })
      }).finally(() => receiver.close())
    },
  })),
}

function warmUpOf(count: number): number {
  return Math.max(warmUp, Math.ceil(count / 10))
}

/** Hands in so much and waits until it is done. Answers how much that was a second, and what it cost. */
async function throughput(running: Running, { count, done, webhookUrl }: Throughput): Promise<Figures> {
  const before = await done()
  const cpuBefore = cpuMs()
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
  const rate = count / ((performance.now() - begun) / 1000)
  return { rate, cpu: (cpuMs() - cpuBefore) / count }
}

/** What all processors have worked since the start of the machine, milliseconds. */
function cpuMs(): number {
  return cpus().reduce((sum, { times: { user, nice, sys, irq } }) => sum + user + nice + sys + irq, 0)
}

interface Throughput {
  count: number
  done(): Promise<number>
  webhookUrl?: string
}
