import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiCaller, callerOf, publicId, refusalOf, uuidOf } from './api-caller.ts'
import { givenAccount } from './given-accounts.ts'
import { beginRun, endRun, settleRun } from './given-runs.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

let service: Service
let call: ApiCaller
let callOther: ApiCaller
beforeAll(async () => {
  service = await startService({ queue: 'redis', apis: 2, workers: 0, dispatchers: 0 })
  call = callerOf(service.url, service.apiKey)
  callOther = callerOf(service.urls[1] ?? '', service.apiKey)
})
afterAll(() => service.stop())

const create = (key: string, body: object = {}, by = call, headers: Record<string, string> = {}) =>
  by('POST /v1/predictions', {
    body: { model: 'echo', input: {}, ...body },
    headers: { 'idempotency-key': key, ...headers },
  })

test('the same request again answers with the same prediction, from another process too', async () => {
  const key = randomUUID()
  const first = await create(key)
  const second = await create(key, {}, callOther)

  expect([first.status, second.status]).toEqual([201, 201])
  expect(first.headers.get('idempotency-replayed')).toBeNull()
  expect(second.headers.get('idempotency-replayed')).toBe('true')
  // Its place in line, and whether somebody serves it, are as they are now.
  for (const { body } of [first, second]) {
    delete body.metadata.queue
    delete body.metadata.waiting_for
  }
  expect(second.body).toEqual(first.body)
})

test('a replay shows the prediction as it is now', async () => {
  const key = randomUUID()
  const { body } = await create(key)
  await endRun(service.db, body.id)

  expect(await create(key)).toMatchObject({ status: 201, body: { id: body.id, status: 'succeeded' } })
})

test('a replay has the status code of the first answer', async () => {
  const key = randomUUID()
  const first = create(key, { await: true })
  const id = await createdUnder(key)
  await endRun(service.db, id)

  expect(await first).toMatchObject({ status: 200, body: { status: 'succeeded' } })
  expect(await create(key, { await: true })).toMatchObject({ status: 200, body: { id, status: 'succeeded' } })
})

test('where the first answer came before the end it stays 201', async () => {
  const key = randomUUID()
  const briefly = { prefer: 'wait=1' }
  const { status, body } = await create(key, {}, call, briefly)
  await endRun(service.db, body.id)

  expect(status).toBe(201)
  expect(await create(key, {}, call, briefly)).toMatchObject({ status: 201, body: { status: 'succeeded' } })
})

test('a replay with await waits too', async () => {
  const key = randomUUID()
  const both = Promise.all([create(key, { await: true }), create(key, { await: true }, callOther)])
  await endRun(service.db, await createdUnder(key))

  expect((await both).map(({ status, body }) => [status, body.status])).toEqual([
    [200, 'succeeded'],
    [200, 'succeeded'],
  ])
})

test.each([
  ['another body', { input: { a: 1 } }, {}],
  ['another Prefer', {}, { prefer: 'wait=0' }],
])('the same key with %s is refused', async (_, body, headers) => {
  const key = randomUUID()
  await create(key)
  expect(refusalOf(await create(key, body, call, headers))).toMatchObject({
    status: 422,
    id: 'IDEMPOTENCY_KEY_REUSED',
  })
})

test('twenty at the same moment at two processes make one prediction', async () => {
  const key = randomUUID()
  const replies = await Promise.all(
    Array.from({ length: 20 }, (_, n) => create(key, {}, n % 2 ? call : callOther)),
  )

  expect(new Set(replies.map(({ body }) => body.id)).size).toBe(1)
  expect(replies.filter(({ headers }) => headers.get('idempotency-replayed') === null)).toHaveLength(1)
  const { rows } = await service.db.pool.query('select from predictions where id = $1', [
    uuidOf(replies[0]?.body.id),
  ])
  expect(rows).toHaveLength(1)
})

test('twenty different ones at the same moment under one key: one is made, the others are refused', async () => {
  const key = randomUUID()
  const replies = await Promise.all(
    Array.from({ length: 20 }, (_, n) => create(key, { input: { n } }, n % 2 ? call : callOther)),
  )

  expect(replies.filter(({ status }) => status === 201)).toHaveLength(1)
  expect(replies.filter(({ status }) => status === 422)).toHaveLength(19)
})

test('while another still accepts the key it is 409, and may be sent again', async () => {
  const key = randomUUID()
  const client = await service.db.pool.connect()
  await client.query('begin')
  await client.query(
    `insert into idempotency_keys (account_id, key, fingerprint, prediction_id, status_code, created_at)
     values ($1, $2, '', $3, 201, clock_timestamp())`,
    [service.accountId, key, randomUUID()],
  )
  const [reply, neighbour] = await Promise.all([create(key), create(randomUUID())])
  await client.query('rollback')
  client.release()

  expect(refusalOf(reply)).toMatchObject({ status: 409, id: 'IDEMPOTENCY_IN_PROGRESS' })
  expect(reply.body.error.retryable).toBe(true)
  expect(reply.headers.get('retry-after')).toBe('1')
  expect(reply.headers.get('x-should-retry')).toBe('true')
  expect(neighbour.status).toBe(201)
  expect((await create(key)).status).toBe(201)
})

test('when the prediction was deleted since, it is 404', async () => {
  const key = randomUUID()
  const { body } = await create(key)
  await call(`DELETE /v1/predictions/${body.id}`)

  expect(refusalOf(await create(key))).toMatchObject({ status: 404, id: 'PREDICTION_NOT_FOUND' })
})

test('a key counts for its account alone', async () => {
  const key = randomUUID()
  const other = callerOf(service.url, (await givenAccount(service)).apiKey)
  const [mine, theirs] = [await create(key), await create(key, { input: { b: 2 } }, other)]

  expect(theirs.status).toBe(201)
  expect(theirs.body.id).not.toBe(mine.body.id)
})

test('a refusal is not remembered', async () => {
  const key = randomUUID()
  expect((await create(key, { model: 'no-such' })).status).toBe(404)
  expect((await create(key, { input: [] })).status).toBe(400)
  expect((await create(key)).status).toBe(201)
})

test('after 24 hours a key is new again', async () => {
  const key = randomUUID()
  const { body } = await create(key)
  await service.db.pool.query(
    `update idempotency_keys set created_at = created_at - interval '24 hours' where account_id = $1 and key = $2`,
    [service.accountId, key],
  )
  const again = await create(key, { input: { c: 3 } })

  expect(again.status).toBe(201)
  expect(again.body.id).not.toBe(body.id)
})

test.each([
  ['an empty key', ''],
  ['256 characters', 'k'.repeat(256)],
  ['a tab', 'a\tb'],
  ['é', 'é'],
])('%s is refused', async (_, key) => {
  expect(refusalOf(await create(key))).toEqual({
    status: 400,
    id: 'INVALID_PARAMETER',
    fields: ['Idempotency-Key'],
  })
})

test('255 characters are taken', async () => {
  expect((await create(randomUUID().padEnd(255, '~'))).status).toBe(201)
})

test('a client that goes away loses only the answer', async () => {
  const key = randomUUID()
  const gone = new AbortController()
  const lost = call('POST /v1/predictions', {
    body: { model: 'echo', input: {}, await: true },
    headers: { 'idempotency-key': key },
    signal: gone.signal,
  })
  const id = await createdUnder(key)
  gone.abort()
  await expect(lost).rejects.toThrow()
  await settleRun(service.db, await beginRun(service.db, id))

  expect(await create(key, { await: true })).toMatchObject({ status: 200, body: { id, status: 'succeeded' } })
})

/** The prediction that a create under this key has made by now. */
async function createdUnder(key: string): Promise<string> {
  const row = await until(
    () =>
      service.db.kysely
        .selectFrom('idempotency_keys')
        .select('prediction_id')
        .where('key', '=', key)
        .executeTakeFirst(),
    { what: 'the create' },
  )
  return publicId(row.prediction_id)
}
