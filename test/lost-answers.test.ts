import { connect } from '@millrace/database/connect'
import { claim } from '@millrace/lifecycle/claim'
import { appendEvents, type NewEvent, readEvents } from '@millrace/lifecycle/events'
import { handBack } from '@millrace/lifecycle/release'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startProxy } from './faults/tcp-proxy.ts'
import { givenPrediction, lifecycleOn } from './given-predictions.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'

// When a connection is cut the worker cannot know whether its statement was done, and does it again.

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.drop())

test('events that are appended again are stored once, and the next ones after them', async () => {
  const { db } = database
  const { id, attempt, draft } = await givenPrediction(db, 'processing')
  const says = (data: string, batch: number): NewEvent => ({ id, attempt, kind: 'output', data, batch })

  await appendEvents(db, [says('"a"', 1), says('"b"', 1)])
  await appendEvents(db, [says('"a"', 1), says('"b"', 1)])
  await appendEvents(db, [says('"c"', 2)])
  await handBack(db, 'a-worker', [{ id, attempt }])
  await claim(lifecycleOn(db), { model: draft.model, limit: 1, worker: 'another', leaseSeconds: 60 })
  await appendEvents(db, [says('"late"', 3), { ...says('"d"', 1), attempt: attempt + 1 }])

  const events = await readEvents(db, id, 0)
  const said = events.filter(({ kind }) => kind === 'output').map(({ data }) => data)
  expect(said).toEqual(['"a"', '"b"', '"c"', '"d"'])
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, n) => n + 1))
})

test('two appends of the same events at once store them once', async () => {
  const { db } = database
  const { id, attempt } = await givenPrediction(db, 'processing')
  const events: NewEvent[] = [{ id, attempt, kind: 'log', data: '{}', batch: 1 }]

  await Promise.all(Array.from({ length: 8 }, () => appendEvents(db, events)))

  expect((await readEvents(db, id, 0)).filter(({ kind }) => kind === 'log')).toHaveLength(1)
})

test('a claim whose commit was not answered is held all the same, at its first attempt', async () => {
  const { db, url } = database
  const { id, draft } = await givenPrediction(db, 'pending')
  const store = new URL(url)
  const proxy = await startProxy({ host: store.hostname, port: Number(store.port) })
  store.port = `${proxy.port}`
  const cutOff = connect({ url: store.href, max: 1, name: 'to be cut off' })
  const lost = proxy.loseAnswers({ marks: ['commit'], times: 1 })

  const claims = await claim(lifecycleOn(cutOff), {
    model: draft.model,
    limit: 1,
    worker: 'a-worker',
    leaseSeconds: 60,
  })

  expect(lost()).toBe(1)
  expect(claims).toMatchObject([{ id, attempt: 1 }])
  await cutOff.close()
  await proxy.close()
})

test('a crash that is handed back twice counts once', async () => {
  const { db } = database
  const { id, attempt } = await givenPrediction(db, 'processing')
  const give = () => handBack(db, 'a-worker', [{ id, attempt }], { crashed: true })

  expect([await give(), await give()]).toEqual([1, 0])

  const { rows } = await db.pool.query('select crashes from runs where prediction_id = $1', [id])
  expect(rows).toEqual([{ crashes: 1 }])
})
