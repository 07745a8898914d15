import { createAcceptance } from '@millrace/api/acceptance'
import { newId } from '@millrace/database/ids'
import type { Draft } from '@millrace/lifecycle/accept'
import { openQueue } from '@millrace/queue/open-queue'
import { expect, onTestFinished, test } from 'vitest'
import { draft, lifecycleOn } from './given-predictions.ts'
import { freshDatabase } from './harness/database.ts'
import { freshRedis } from './harness/redis.ts'

test('a key that somebody else holds delays its neighbours by one lock time-out, not by one per halving', async () => {
  const { db, acceptance } = await given()
  const accountId = newId()
  const holder = await db.pool.connect()
  await holder.query('begin')
  await holder.query(
    `insert into idempotency_keys (account_id, key, fingerprint, prediction_id, status_code, created_at)
     values ($1, 'held', '', $2, 201, clock_timestamp())`,
    [accountId, newId()],
  )
  const keyed = (key: string): Draft =>
    draft({ accountId, idempotency: { key, fingerprint: Buffer.of(1), statusCode: 201 } })
  const neighbours = Array.from({ length: 60 }, (_, n) => (n % 3 ? draft({ accountId }) : keyed(`key ${n}`)))

  const startedAt = performance.now()
  const blocked = expect(acceptance.add(keyed('held'))).rejects.toMatchObject({ code: '55P03' })
  const accepted = await Promise.all(neighbours.map((neighbour) => acceptance.add(neighbour)))
  const took = performance.now() - startedAt

  expect(accepted).toEqual(neighbours.map(() => true))
  expect(took).toBeLessThan(2_500)
  await blocked
  await holder.query('rollback')
  holder.release()
  const { rows } = await db.pool.query('select prediction_id from runs')
  expect(rows).toHaveLength(60)
})

test('what comes faster than it can be stored is refused at once, and the next one is taken when they are stored', async () => {
  const { db, acceptance } = await given()
  const flood = Array.from({ length: 700 }, () => draft())

  const answers = await Promise.allSettled(flood.map((one) => acceptance.add(one)))

  const refused = answers.filter(({ status }) => status === 'rejected')
  expect(refused).toHaveLength(200)
  for (const one of refused)
    expect(one).toMatchObject({
      reason: {
        id: 'SERVICE_UNAVAILABLE',
        message: 'More predictions are being created than can be stored.',
      },
    })
  expect(await acceptance.add(draft())).toBe(true)
  const { rows } = await db.pool.query('select prediction_id from runs')
  expect(rows).toHaveLength(501)
})

async function given() {
  const database = await freshDatabase()
  const { url: redisUrl, prefix } = freshRedis()
  const queue = openQueue({ databaseUrl: database.url, redisUrl, prefix, name: 'test' })
  onTestFinished(async () => {
    await queue.close()
    await database.drop()
  })
  return { db: database.db, acceptance: createAcceptance(lifecycleOn(database.db), queue) }
}
