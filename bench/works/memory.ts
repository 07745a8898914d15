import { startMillrace } from '../millrace.ts'
import { postMany } from '../post.ts'
import { startReceiver } from '../receiver.ts'
import { createRequest } from '../requests.ts'
import { type Figures, using, type Work } from '../work.ts'

/** The largest process at rest and while predictions with two webhooks come as fast as they can. */
export const memory: Work = {
  name: 'memory',
  title: 'Memory of the largest process, in megabytes',
  columns: { idle: 'RSS idle', busy: 'RSS under load', later: 'RSS at the end', heap: 'heap at the end' },
  rows: [
    {
      name: 'Millrace (Redis)',
      once: true,
      async measure(stores, { seconds }) {
        const receiver = await startReceiver()
        return using(await startMillrace(stores, { onRedis: true }), async (service) => {
          const most = async (what: 'rssMb' | 'heapMb') => {
            const all = await Promise.all(service.processes.map((one) => one.memory()))
            return Math.max(...all.map((one) => one[what]))
          }
          const idle = await most('rssMb')
          const request = createRequest(service, receiver.url)
          // Long enough for what leaks to show; an hour of it by `--seconds 360`.
          const ends = performance.now() + 10_000 * seconds
          let busy = 0
          while (performance.now() < ends) {
            await postMany(request, 500)
            busy = Math.max(busy, await most('rssMb'))
          }
          return { idle, busy, later: await most('rssMb'), heap: await most('heapMb') } satisfies Figures
        }).finally(() => receiver.close())
      },
    },
  ],
}
