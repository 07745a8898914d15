import { setTimeout as delay } from 'node:timers/promises'
import { repeated, timeOf } from '../latencies.ts'
import { type Millrace, startMillrace } from '../millrace.ts'
import { call } from '../requests.ts'
import { onBothQueues, using, type Work } from '../work.ts'

/** The answer to a cancel waits until the worker, another process, has stopped the model and ended the prediction. */
export const cancelLatency: Work = {
  name: 'cancel',
  title: 'From a cancel to the answer that the running model has stopped',
  columns: { p50: 'p50 (ms)', p95: 'p95 (ms)' },
  rows: onBothQueues(async (stores, { count }, onRedis) =>
    using(await startMillrace(stores, { onRedis, apps: ['api', 'worker'] }), async (service) => {
      const { p50, p95 } = await repeated({ times: Math.max(50, count / 50), warmUp: 10 }, async () => {
        const { id } = await running(service)
        return timeOf(async () => {
          const { status } = await shown(service, 'POST', `/v1/predictions/${id}/cancel`)
          if (status !== 'cancelled') throw new Error(`the answer to the cancel shows it as ${status}`)
        })
      })
      return { p50, p95 }
    }),
  ),
}

async function running(service: Millrace): Promise<Shown> {
  const made = await shown(service, 'POST', '/v1/predictions', { model: 'patient', input: {} })
  for (;;) {
    const { status } = await shown(service, 'GET', `/v1/predictions/${made.id}`)
    if (status === 'processing') return made
    await delay(5)
  }
}

async function shown(
  service: Millrace,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
): Promise<Shown> {
  return (await call(service, method, path, body)) as Shown
}

interface Shown {
  id: string
  status: string
}
