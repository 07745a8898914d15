import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiCaller, callerOf } from './api-caller.ts'
import { givenAccountOn, givenLimitedKey } from './given-plans.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'
import { parseItems } from './structured-fields.ts'

let service: Service
beforeAll(async () => {
  service = await startService({ queue: 'redis', apis: 2, workers: 0, dispatchers: 0 })
})
afterAll(() => service.stop())

const create = (call: ApiCaller, model = 'echo', input: object = {}) =>
  call('POST /v1/predictions', { body: { model, input } })

test('no more predictions of an account wait than may, and the next one is let in when one is gone', async () => {
  const { apiKey } = await givenAccountOn(service, { limits: { max_waiting: 3, requests: 1000 } })
  const call = callerOf(service.url, apiKey)
  const replies = await Promise.all(Array.from({ length: 10 }, () => create(call)))
  const accepted = replies.filter(({ status }) => status === 201)
  const refused = replies.find(({ status }) => status === 429)

  expect(accepted.length).toBe(3)
  expect(refused).toMatchObject({
    status: 429,
    body: {
      response: '3 predictions of this account wait to begin, which is as many as may.',
      error: { error_id: 'QUEUE_FULL', retryable: true },
    },
  })
  expect(refused?.headers.get('retry-after')).toBe('2')
  // Another process counts for itself.
  const other = callerOf(service.urls[1] ?? '', apiKey)
  expect((await create(other)).status).toBe(429)
  // What was refused is no request.
  const look = await call('GET /v1/models')
  expect(parseItems(look.headers.get('ratelimit'))[0]?.[1].r).toBe(1000 - 3 - 1)

  await call(`POST /v1/predictions/${accepted[0]?.body.id}/cancel`)
  await until(async () => (await create(call)).status === 201, { what: 'room for one more' })
  await until(async () => (await create(call)).status === 429, { what: 'it to be taken' })
})

test('what was not created does not wait', async () => {
  const { apiKey } = await givenAccountOn(service, { limits: { max_waiting: 1 } })
  const call = callerOf(service.url, apiKey)
  for (let n = 0; n < 5; n++) expect((await create(call, 'no-such')).status).toBe(404)
  for (let n = 0; n < 5; n++) expect((await create(call, 'doodle', { steps: 'x' })).status).toBe(400)
  const image = { model: 'doodle', prompt: 'a', size: 'huge' }
  for (let n = 0; n < 5; n++)
    expect((await call('POST /v1/images/generations', { body: image })).status).toBe(400)

  expect((await create(call)).status).toBe(201)
})

test('a key may have fewer of its own waiting, and media say it in the words of inference', async () => {
  const { accountId, apiKey } = await givenAccountOn(service, { limits: { max_waiting: 3 } })
  const limited = callerOf(service.url, await givenLimitedKey(service, accountId, { max_waiting: 1 }))
  const other = callerOf(service.url, apiKey)

  expect([(await create(limited)).status, (await create(limited)).status]).toEqual([201, 429])
  expect([(await create(other)).status, (await create(other)).status]).toEqual([201, 201])
  expect(await other('POST /v1/videos', { body: { model: 'doodle-video', prompt: 'a' } })).toMatchObject({
    status: 429,
    body: { error: { error_id: 'QUEUE_FULL', type: 'rate_limit_error', code: 'queue_full' } },
  })
  expect(await other('POST /v1/chat/completions', { body: parrot })).toMatchObject({ status: 200 })
})

test('with a key of its own a repeat is answered even when no more may wait', async () => {
  const { apiKey } = await givenAccountOn(service, { limits: { max_waiting: 1 } })
  const call = callerOf(service.url, apiKey)
  const keyed = { body: { model: 'echo', input: {} }, headers: { 'idempotency-key': 'once' } }
  const [first, again] = [
    await call('POST /v1/predictions', keyed),
    await call('POST /v1/predictions', keyed),
  ]

  expect([first.status, again.status]).toEqual([201, 201])
  expect(again.body.id).toBe(first.body.id)
  expect((await create(call)).status).toBe(429)
})

const parrot = { model: 'parrot', messages: [{ role: 'user', content: 'hello' }] }
