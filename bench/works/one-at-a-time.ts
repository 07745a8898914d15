import type { Contender } from '../contender.ts'
import { startMillrace } from '../millrace.ts'
import { percentiles } from '../percentiles.ts'
import { call } from '../requests.ts'
import type { Work } from '../work.ts'

export const oneAtATime: Work = {
  name: 'await',
  title: 'One at a time: from the request to the answer with the result (`await: true`)',
  columns: { p50: 'p50 (ms)', p99: 'p99 (ms)' },
  rows: [onQueue('Millrace (Redis)', true), onQueue('Millrace (embedded)', false)],
}

function onQueue(name: Contender['name'], onRedis: boolean): Work['rows'][number] {
  return {
    name,
    async measure(stores, { count }) {
      const service = await startMillrace(stores, { onRedis, apps: ['api', 'worker'] })
      try {
        const latencies: number[] = []
        for (let n = 0; n < Math.max(100, count / 5); n++) {
          const begun = performance.now()
          const body = { model: 'noop', input: { prompt: 'nothing much' }, await: true }
          const { status } = (await call(service, 'POST', '/v1/predictions', body)) as { status: string }
          if (status !== 'succeeded') throw new Error(`it was answered as ${status}`)
          // The first ones load the model and compile the code.
          if (n >= 50) latencies.push(performance.now() - begun)
        }
        const { p50, p99 } = percentiles(latencies)
        return { p50, p99 }
      } finally {
        await service.stop()
      }
    },
  }
}
