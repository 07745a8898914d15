import { warmUp } from '../contender.ts'
import { repeated, timeOf } from '../latencies.ts'
import { startMillrace } from '../millrace.ts'
import { postMany } from '../post.ts'
import { call, createBody, createRequest } from '../requests.ts'
import { onBothQueues, using, type Work } from '../work.ts'

export const oneAtATime: Work = {
  name: 'await',
  title: 'One at a time: from the request to the answer with the result (`await: true`)',
  columns: { p50: 'p50 (ms)', p99: 'p99 (ms)' },
  rows: onBothQueues(async (stores, { count }, onRedis) =>
    using(await startMillrace(stores, { onRedis, apps: ['api', 'worker'] }), async (service) => {
      const create = async () => {
        const answer = await call(service, 'POST', '/v1/predictions', { ...createBody(), await: true })
        const { status } = answer as { status: string }
        if (status !== 'succeeded') throw new Error(`it was answered as ${status}`)
      }
      // The first ones that are waited for come behind these, and do not count.
      await postMany(createRequest(service), warmUp)
      const { p50, p99 } = await repeated({ times: Math.max(100, count / 5), warmUp: 50 }, () =>
        timeOf(create),
      )
      return { p50, p99 }
    }),
  ),
}
