import { hide } from '@millrace/lifecycle/remove'
import { settle } from '@millrace/lifecycle/settle'
import { expect, test } from 'vitest'
import { endings, givenPrediction, lifecycleOn } from './given-predictions.ts'
import { freshDatabase } from './harness/database.ts'

test('a prediction that ends while it is deleted is in no list', async () => {
  const { db, drop } = await freshDatabase()
  const races = Array.from({ length: 40 }, async () => {
    const given = await givenPrediction(db, 'processing', { tags: { team: 'red' } })
    const { cancelled } = endings(given)
    await Promise.all([
      settle(lifecycleOn(db), cancelled ? [cancelled] : []),
      hide(db, given.draft.accountId, given.id),
    ])
  })
  await Promise.all(races)

  const { rows } = await db.pool.query(
    'select prediction_id from outcomes union all select prediction_id from prediction_tags',
  )

  expect(rows).toEqual([])
  await drop()
})

test('a prediction with megabytes of input ends with thin webhooks that say so, and keeps its input', async () => {
  const { db, drop } = await freshDatabase()
  const text = 'x'.repeat(2_000_000)
  const webhook = { url: 'http://receiver.test/', events: ['succeeded'] }
  const given = await givenPrediction(db, 'succeeded', { input: { text }, webhook })

  const { rows } = await db.pool.query<{ body: string }>('select body from webhook_bodies')
  const { rows: kept } = await db.pool.query<{ length: number }>(
    `select length(input ->> 'text') as length from predictions where id = $1`,
    [given.id],
  )

  expect(JSON.parse(rows[0]?.body ?? '')).toMatchObject({
    type: 'prediction.succeeded',
    truncated: true,
    data: { status: 'succeeded' },
  })
  expect(kept).toEqual([{ length: text.length }])
  await drop()
})
