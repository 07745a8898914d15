import { setTimeout as delay } from 'node:timers/promises'
import { callAtOnce, warmUp } from '../contender.ts'
import { percentiles } from '../latencies.ts'
import { type Millrace, startMillrace } from '../millrace.ts'
import { postMany } from '../post.ts'
import { type Receiver, startReceiver } from '../receiver.ts'
import { call, createBody, createRequest } from '../requests.ts'
import { using, type Work } from '../work.ts'

/** `completed_at` is taken a moment before the commit, by a database on the same machine: what is measured is no less. */
export const webhookLatency: Work = {
  name: 'webhook-latency',
  title: 'From the end of a prediction to the arrival of `prediction.succeeded`',
  columns: { rate: 'predictions/s', p50: 'p50 (ms)', p99: 'p99 (ms)' },
  rows: [
    { name: 'idle: one at a time', measure: measured(idle) },
    { name: 'at half load', measure: measured(halfLoad) },
  ],
}

function measured(load: Load): Work['rows'][number]['measure'] {
  return async (stores, { count, seconds }) => {
    const latencies: number[] = []
    const receiver = await startReceiver((body, at) => {
      const { type, data } = JSON.parse(body) as { type: string; data: { completed_at: string } }
      if (type === 'prediction.succeeded') latencies.push(at - Date.parse(data.completed_at))
    })
    return using(await startMillrace(stores, { onRedis: true }), async (service) => {
      await postMany(createRequest(service, receiver.url), warmUp)
      await untilReceived(receiver, 2 * warmUp)
      const { rate, warm } = await load(service, receiver, { count, seconds })
      const { p50, p99 } = percentiles(latencies.slice(warm))
      return { rate, p50, p99 }
    }).finally(() => receiver.close())
  }
}

async function idle(service: Millrace, receiver: Receiver, { count }: LoadSize): Promise<Loaded> {
  const warm = receiver.received() / 2
  const body = createBody(receiver.url)
  const begun = performance.now()
  const times = Math.max(100, count / 20)
  for (let n = 1; n <= times; n++) {
    await call(service, 'POST', '/v1/predictions', body)
    await untilReceived(receiver, 2 * (warm + n))
  }
  return { rate: times / ((performance.now() - begun) / 1000), warm }
}

async function halfLoad(
  service: Millrace,
  receiver: Receiver,
  { count, seconds }: LoadSize,
): Promise<Loaded> {
  const before = receiver.received()
  const begun = performance.now()
  await postMany(createRequest(service, receiver.url), count)
  await untilReceived(receiver, before + 2 * count)
  const rate = count / ((performance.now() - begun) / 1000) / 2
  const warm = receiver.received() / 2
  const total = Math.floor(rate * seconds)
  const start = performance.now()
  let sent = 0
  const body = createBody(receiver.url)
  await callAtOnce(total, async () => {
    const nth = sent++
    await delay(Math.max(0, start + (nth / rate) * 1000 - performance.now()))
    await call(service, 'POST', '/v1/predictions', body)
  })
  await untilReceived(receiver, 2 * (warm + total))
  return { rate, warm }
}

async function untilReceived(receiver: Receiver, count: number): Promise<void> {
  for (let waited = 0; receiver.received() < count; waited++) {
    if (waited > 30_000) throw new Error(`${receiver.received()} of ${count} webhooks came`)
    await delay(1)
  }
}

type Load = (service: Millrace, receiver: Receiver, size: LoadSize) => Promise<Loaded>

interface LoadSize {
  count: number
  seconds: number
}

/** How many a second there were, and how many came before. */
interface Loaded {
  rate: number
  warm: number
}
