import { watchChanges } from '@millrace/api/changes'
import { newId } from '@millrace/database/ids'
import { createLog } from '@millrace/process/log'
import { openQueue } from '@millrace/queue/open-queue'
import { afterEach, expect, test, vi } from 'vitest'
import { freshDatabase } from './harness/database.ts'
import { freshRedis } from './harness/redis.ts'
import { until } from './harness/wait.ts'

afterEach(() => vi.useRealTimers())

test('polls that the database does not answer do not pile up, and go on when it does', async () => {
  const database = await freshDatabase()
  const { pool } = database.db
  const { url: redisUrl, prefix } = freshRedis()
  const queue = openQueue({ databaseUrl: database.url, redisUrl, prefix, name: 'test' })
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  const changes = await watchChanges(database.db, queue, createLog({ name: 'test', level: 'silent' }))
  const taken = await Promise.all(Array.from({ length: 5 }, () => pool.connect()))
  changes.watch(newId(), () => {})

  vi.advanceTimersByTime(10_000)
  expect(pool.waitingCount).toBe(1)

  for (const client of taken) client.release()
  await until(() => pool.waitingCount === 0 && pool.idleCount === pool.totalCount, {
    what: 'the poll to be answered',
  })
  const again = await Promise.all(taken.map(() => pool.connect()))
  vi.advanceTimersByTime(1_000)
  expect(pool.waitingCount).toBe(1)

  for (const client of again) client.release()
  await changes.close()
  await queue.close()
  await database.drop()
})
