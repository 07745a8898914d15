import { type Bell, openQueue, type Queue } from '@millrace/queue/open-queue'
import { onTestFinished, test } from 'vitest'
import { type FaultProxy, startProxy } from './faults/tcp-proxy.ts'
import { freshDatabase } from './harness/database.ts'
import { freshRedis } from './harness/redis.ts'
import { until } from './harness/wait.ts'

// What BullMQ does at its first connect decides for good whether it works, so the first time is when the queue is away.

test.for(['redis', 'postgres'] as const)(
  'a process that begins while the queue is away rings and signals once it is back (%s)',
  { timeout: 60_000 },
  async (kind) => {
    const { open, proxy, complaints } = await givenQueues(kind)
    const heard: Bell[] = []
    const cancelled: string[] = []
    const there = open('there')
    await there.answer('default', async (bell) => void heard.push(bell))
    there.listen('cancel', (ids) => cancelled.push(...ids))
    proxy.set('refused')
    const away = open('away', proxy)
    const pushed: string[] = []
    away.listen('changed', (ids) => pushed.push(...ids))
    away.ring('default', 'lost')
    await until(() => complaints.length > 0, { what: 'the first connect to fail' })

    proxy.set('none')

    await until(
      () => {
        away.ring('default', 'echo')
        away.signal('cancel', ['pred_1'])
        there.signal('changed', ['pred_2'])
        return heard.some(({ model }) => model === 'echo') && cancelled.length > 0 && pushed.length > 0
      },
      { within: 40_000, what: 'bells and signals in both directions' },
    )
  },
)

test('a queue whose Redis is connected and silent is not ready, and is again when it speaks', {
  timeout: 30_000,
}, async () => {
  const { open, proxy } = await givenQueues('redis')
  const queue = open('worker', proxy)
  await until(() => queue.ready(), { what: 'the queue to be ready' })

  proxy.set('black-hole')
  await until(() => !queue.ready(), { what: 'the silence to be noticed' })
  proxy.set('none')

  await until(() => queue.ready(), { what: 'the queue to be ready again' })
})

async function givenQueues(kind: Queue['kind']): Promise<GivenQueues> {
  const database = await freshDatabase()
  const redis = freshRedis()
  const store = new URL(kind === 'redis' ? redis.url : database.url)
  const proxy = await startProxy({ host: store.hostname, port: Number(store.port) })
  const queues: Queue[] = []
  const complaints: unknown[] = []
  onTestFinished(async () => {
    proxy.set('none')
    await Promise.all(queues.map((queue) => queue.close()))
    await proxy.close()
    await database.drop()
  })
  return {
    proxy,
    complaints,
    open(name, through) {
      const url = new URL(store)
      if (through) url.port = `${through.port}`
      const place =
        kind === 'redis' ? { redisUrl: url.href, databaseUrl: database.url } : { databaseUrl: url.href }
      const queue = openQueue({
        name,
        prefix: redis.prefix,
        onError: (error) => complaints.push(error),
        ...place,
      })
      queues.push(queue)
      return queue
    },
  }
}

interface GivenQueues {
  /** Opens a queue as another process would, behind the proxy or past it. */
  open(name: string, through?: FaultProxy): Queue
  proxy: FaultProxy
  /** What the queues reported. */
  complaints: unknown[]
}
