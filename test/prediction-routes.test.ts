import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf, publicId, refusalOf, uuidOf } from './api-caller.ts'
import { givenPrediction } from './given-predictions.ts'
import { beginRun, claimRun, settleRun } from './given-runs.ts'
import { type Service, startService } from './harness/service.ts'

describe('one prediction', () => {
  let service: Service
  let call: ApiCaller
  beforeAll(async () => {
    service = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
    call = callerOf(service.url, service.apiKey)
  })
  afterAll(() => service.stop())

  const given = async (status: Parameters<typeof givenPrediction>[1]) => {
    const made = await givenPrediction(service.db, status, { accountId: service.accountId })
    return publicId(made.id)
  }

  test.each(['pending', 'starting', 'processing'] as const)(
    'while %s, get hints when to come again',
    async (status) => {
      const { headers, body } = await call(`GET /v1/predictions/${await given(status)}`)
      expect(body).toMatchObject({ status, completed_at: null, output: null })
      expect(headers.get('retry-after')).toMatch(/^\d+$/)
      expect(headers.get('etag')).toMatch(/^"[\w-]+"$/)
    },
  )

  test.each(['succeeded', 'failed', 'cancelled'] as const)(
    'once %s, there is nothing to come again for',
    async (status) => {
      const { headers, body } = await call(`GET /v1/predictions/${await given(status)}?wait=20`)
      expect(body).toMatchObject({
        status,
        completed_at: expect.any(String),
        metrics: { total_time: expect.any(Number) },
      })
      expect(headers.get('retry-after')).toBeNull()
    },
  )

  test('what has not changed is 304', async () => {
    const { body } = await call('POST /v1/predictions', { body: { model: 'echo', input: {} } })
    const { headers } = await call(`GET /v1/predictions/${body.id}`)
    const etag = headers.get('etag') ?? ''
    const again = () =>
      call(`GET /v1/predictions/${body.id}`, { headers: { 'if-none-match': `"other", ${etag}` } })

    expect(await again()).toMatchObject({ status: 304, text: '' })
    await claimRun(service.db, body.id)
    expect((await again()).status).toBe(200)
  })

  test('a wait that sees no change answers with the prediction as it stands', async () => {
    expect(await call(`GET /v1/predictions/${await given('starting')}?wait=0.1`)).toMatchObject({
      status: 200,
      body: { status: 'starting' },
    })
  })

  test.each(['-1', '51', 'soon', ''])('wait=%s', async (wait) => {
    const reply = await call(`GET /v1/predictions/${await given('succeeded')}?wait=${wait}`)
    if (wait === '') expect(reply.status).toBe(200)
    else expect(refusalOf(reply)).toEqual({ status: 400, id: 'INVALID_PARAMETER', fields: ['wait'] })
  })

  test('cancelling what waits ends it at once, and again changes nothing', async () => {
    const id = await given('pending')
    const first = await call(`POST /v1/predictions/${id}/cancel`)
    const second = await call(`POST /v1/predictions/${id}/cancel`)

    expect(first).toMatchObject({ status: 200, body: { id, status: 'cancelled', success: true } })
    expect(second.body).toEqual(first.body)
  })

  test.each(['succeeded', 'failed', 'cancelled'] as const)(
    'cancelling what has %s changes nothing',
    async (status) => {
      const id = await given(status)
      const before = (await call(`GET /v1/predictions/${id}`)).body
      expect(await call(`POST /v1/predictions/${id}/cancel`)).toMatchObject({ status: 200, body: before })
    },
  )

  test('of a cancel and a success at the same moment exactly one wins', async () => {
    for (let round = 0; round < 4; round++) {
      const { body } = await call('POST /v1/predictions', { body: { model: 'echo', input: { round } } })
      const fence = await beginRun(service.db, body.id)
      const [, success] = await Promise.allSettled([
        call(`POST /v1/predictions/${body.id}/cancel`),
        settleRun(service.db, fence),
      ])
      const { status } = (await call(`GET /v1/predictions/${body.id}`)).body
      expect(status).toBe(success.status === 'fulfilled' ? 'succeeded' : 'cancelled')
    }
  })

  test.each(['', '/delete'])('deleting at …%s hides it everywhere at once', async (spelling) => {
    const id = await given('succeeded')
    const deleted = await call(`DELETE /v1/predictions/${id}${spelling}`)

    expect(deleted).toMatchObject({
      status: 200,
      body: { id, status: 'succeeded', output: 'hello', success: true },
    })
    for (const request of [
      `GET /v1/predictions/${id}`,
      `GET /v1/predictions/${id}/stream`,
      `GET /v1/predictions/${id}/deliveries`,
      `POST /v1/predictions/${id}/cancel`,
      `DELETE /v1/predictions/${id}`,
      `GET /v1/job/${id}`,
    ])
      expect([request, refusalOf(await call(request))]).toMatchObject([
        request,
        { status: 404, id: 'PREDICTION_NOT_FOUND' },
      ])
  })

  test('deleting what waits cancels it first', async () => {
    const id = await given('pending')
    expect((await call(`DELETE /v1/predictions/${id}`)).body).toMatchObject({
      status: 'cancelled',
      success: true,
    })
    expect(await statusOf(id)).toBe('cancelled')
  })

  test('deleting what runs asks it to stop', async () => {
    const id = await given('processing')
    await call(`DELETE /v1/predictions/${id}`)
    const { rows } = await service.db.pool.query(
      'select cancel_requested_at is not null as asked from runs where prediction_id = $1',
      [uuidOf(id)],
    )
    expect(rows).toEqual([{ asked: true }])
  })

  test('of ten deletes at the same moment one succeeds', async () => {
    const id = await given('pending')
    const replies = await Promise.all(Array.from({ length: 10 }, () => call(`DELETE /v1/predictions/${id}`)))
    expect(replies.map(({ status }) => status).sort()).toEqual([200, ...Array.from({ length: 9 }, () => 404)])
  })

  test('HEAD answers like GET, without the body', async () => {
    const response = await fetch(`${service.url}/v1/predictions/${await given('succeeded')}`, {
      method: 'HEAD',
      headers: { 'x-api-key': service.apiKey },
    })
    expect([response.status, await response.text()]).toEqual([200, ''])
  })

  test('deliveries are listed, newest first, with what became of them', async () => {
    const made = await givenPrediction(service.db, 'succeeded', {
      accountId: service.accountId,
      webhook: { url: 'http://127.0.0.1:9/hook', events: ['started', 'completed'] },
    })
    const { status, body } = await call(`GET /v1/predictions/${publicId(made.id)}/deliveries`)

    expect(status).toBe(200)
    expect(body).toMatchObject({
      data: [
        {
          event: 'prediction.succeeded',
          state: 'due',
          url: 'http://127.0.0.1:9/hook',
          endpoint_id: null,
          attempts: [],
        },
        {
          event: 'prediction.started',
          state: 'due',
          next_attempt_at: expect.any(String),
          completed_at: null,
        },
      ],
      pagination: { total: 2, next_cursor: null, prev_cursor: null },
    })
    const paged = await call(`GET /v1/predictions/${publicId(made.id)}/deliveries?per_page=1`)
    const next = await call(
      `GET /v1/predictions/${publicId(made.id)}/deliveries?per_page=1&cursor=${paged.body.pagination.next_cursor}`,
    )
    expect([...paged.body.data, ...next.body.data]).toEqual(body.data)
  })

  async function statusOf(id: string) {
    const query = service.db.kysely.selectFrom('predictions').select('status').where('id', '=', uuidOf(id))
    return (await query.executeTakeFirstOrThrow()).status
  }
})
