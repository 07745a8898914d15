import { setTimeout as delay } from 'node:timers/promises'
import { type Millrace, startMillrace } from '../millrace.ts'
import { percentiles } from '../percentiles.ts'
import { call } from '../requests.ts'
import type { Work } from '../work.ts'

/** The answer to a cancel waits until the worker, another process, has stopped the model and ended the prediction. */
export const cancelLatency: Work = {
  name: 'cancel',
  title: 'From a cancel to the answer that the running model has stopped',
  columns: { p50: 'p50 (ms)', p95: 'p95 (ms)' },
  rows: [row('Millrace (Redis)', true), row('Millrace (embedded)', false)],
}

function row(name: string, onRedis: boolean): Work['rows'][number] {
  return {
    name,
    async measure(stores, { count }) {
      const service = await startMillrace(stores, { onRedis, apps: ['api', 'worker'] })
      try {
        const latencies: number[] = []
        for (let n = 0; n < Math.max(50, count / 50); n++) {
          const { id } = await running(service)
          const begun = performance.now()
          const { status } = await shown(service, 'POST', `/v1/predictions/${id}/cancel`)
          if (status !== 'cancelled') throw new Error(`the answer to the cancel shows it as ${status}`)
          if (n >= 10) latencies.push(performance.now() - begun)
        }
        const { p50, p95 } = percentiles(latencies)
        return { p50, p95 }
      } finally {
        await service.stop()
      }
    },
  }
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
