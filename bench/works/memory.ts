import { setTimeout as delay } from 'node:timers/promises'
import { type App, type Memory, type Millrace, startMillrace } from '../millrace.ts'
import { postMany } from '../post.ts'
import { type Receiver, startReceiver } from '../receiver.ts'
import { createRequest } from '../requests.ts'
import { type Figures, using, type Work } from '../work.ts'

/** At rest, and the most while predictions with two webhooks come as fast as they are delivered. */
export const memory: Work = {
  name: 'memory',
  title: 'Memory of each process under load with two webhooks (RSS, in megabytes)',
  columns: {
    idle: 'the largest, idle',
    api: 'api',
    worker: 'worker',
    model: "a model's process",
    dispatcher: 'dispatcher',
    growth: 'the largest, end ÷ first fifth',
    heap: 'largest heap',
  },
  rows: [
    {
      name: 'Millrace (Redis)',
      once: true,
      async measure(stores, { seconds }) {
        const receiver = await startReceiver()
        return using(await startMillrace(stores, { onRedis: true }), (service) =>
          // Long enough for what leaks to show; an hour of it by `--seconds 360`.
          underLoad(service, receiver, 10 * seconds),
        ).finally(() => receiver.close())
      },
    },
  ],
}

async function underLoad(service: Millrace, receiver: Receiver, seconds: number): Promise<Figures> {
  const idle = largest(await look(service))
  const request = createRequest(service, receiver.url)
  const looks: Look[] = []
  const begun = performance.now()
  for (let sent = 0; performance.now() - begun < seconds * 1000; sent += 500) {
    // More than is delivered would be a growing queue.
    while (2 * sent - receiver.received() > 4_000) await delay(10)
    await postMany(request, 500)
    looks.push(await look(service))
  }
  const fifth = Math.max(1, Math.floor(looks.length / 5))
  const most = (what: (one: Look) => number) => Math.max(...looks.map(what))
  return {
    idle,
    api: most(({ api }) => api.rssMb),
    worker: most(({ worker }) => worker.rssMb),
    model: most(({ worker }) => worker.childMb),
    dispatcher: most(({ dispatcher }) => dispatcher.rssMb),
    growth: mean(looks.slice(-fifth).map(largest)) / mean(looks.slice(0, fifth).map(largest)),
    heap: most((one) => Math.max(...Object.values(one).map(({ heapMb }) => heapMb))),
  }
}

async function look({ processes }: Millrace): Promise<Look> {
  const all = await Promise.all(processes.map(async ({ app, memory }) => [app, await memory()] as const))
  return Object.fromEntries(all) as Look
}

function largest(one: Look): number {
  return Math.max(...Object.values(one).map(({ rssMb, childMb }) => Math.max(rssMb, childMb)))
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

type Look = Record<App, Memory>
