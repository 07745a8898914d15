import { randomUUID } from 'node:crypto'
import { openQueue, type Queue } from '@millrace/queue/open-queue'
import { expect, onTestFinished, test } from 'vitest'
import { freshDatabase } from './harness/database.ts'
import { freshRedis } from './harness/redis.ts'
import { until } from './harness/wait.ts'

test.for(['redis', 'postgres'] as const)(
  'once the crowd of bells that kept others away is answered, the next one is heard (%s)',
  async (kind) => {
    const open = await givenQueues(kind)
    const [crowding, ringing, answering] = [open(), open(), open()]
    const heard: string[] = []
    const answered = Promise.withResolvers<void>()
    await answering.answer('default', async ({ model }) => {
      heard.push(model)
      await answered.promise
    })
    await Promise.all([crowding, ringing].map((queue) => untilConnected(queue, answering)))
    for (let nth = 0; nth < 150; nth++) crowding.ring('default', `model-${nth}`)
    await until(() => heard.length > 0, { what: 'the first bell of the crowd' })
    // It counts those that wait, now and by itself not again within a second.
    ringing.ring('default', 'the one that counts')
    answered.resolve()
    await until(() => heard.includes('the one that counts'), { what: 'the crowd to be answered' })

    ringing.ring('default', 'the next one')

    await until(() => heard.includes('the next one'), { what: 'the next bell' })
    expect(heard).toHaveLength(152)
  },
)

/** What is rung before a process has connected is lost, and so it rings elsewhere until it is heard. */
async function untilConnected(queue: Queue, other: Queue): Promise<void> {
  const pool = randomUUID()
  let isHeard = false
  await other.answer(pool, async () => {
    isHeard = true
  })
  const ring = () => {
    queue.ring(pool, 'hello')
    return isHeard
  }
  await until(ring, { what: 'the queue to connect' })
}

async function givenQueues(kind: 'redis' | 'postgres') {
  const database = await freshDatabase()
  onTestFinished(() => database.drop())
  const redis = freshRedis()
  const place = kind === 'redis' ? { redisUrl: redis.url } : {}
  return () => {
    const queue = openQueue({ databaseUrl: database.url, ...place, prefix: redis.prefix, name: 'test' })
    onTestFinished(() => queue.close())
    return queue
  }
}
