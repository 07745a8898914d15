import { settle } from '@millrace/lifecycle/settle'
import { openQueue, type Queue } from '@millrace/queue/open-queue'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf, publicId, uuidOf } from './api-caller.ts'
import { collect, readStream } from './event-reader.ts'
import { lifecycleOn } from './given-predictions.ts'
import { beginRun, endRun } from './given-runs.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

describe.each(['redis', 'postgres'] as const)('with the queue on %s', (kind) => {
  let service: Service
  let queue: Queue
  let call: ApiCaller
  beforeAll(async () => {
    service = await startService({
      queue: kind,
      apis: 2,
      workers: 0,
      dispatchers: 0,
      env: { AWAIT_SECONDS: '20' },
    })
    call = callerOf(service.url, service.apiKey)
    const { REDIS_URL: redisUrl, QUEUE_PREFIX: prefix } = service.environment
    queue = openQueue({
      databaseUrl: service.environment.DATABASE_URL ?? '',
      name: 'test',
      ...(redisUrl === undefined ? {} : { redisUrl, prefix }),
    })
  })
  afterAll(async () => {
    await queue.close()
    await service.stop()
  })

  const created = async () =>
    (await call('POST /v1/predictions', { body: { model: 'echo', input: {} } })).body.id as string

  test('a create that waits answers 200 with the end of the run', async () => {
    const waiting = call('POST /v1/predictions', {
      body: { model: 'echo', input: { wait: kind }, await: true },
    })
    const id = await createdWith({ wait: kind })
    await endRun(service.db, id)
    queue.signal('changed', [uuidOf(id)])

    expect(await waiting).toMatchObject({ status: 200, body: { id, status: 'succeeded', output: 'done' } })
  })

  test('a failed run is no HTTP error', async () => {
    const waiting = call('POST /v1/predictions', {
      body: { model: 'echo', input: { fails: kind } },
      headers: { prefer: 'wait' },
    })
    const id = await createdWith({ fails: kind })
    await endRun(service.db, id, { error: 'It broke', errorId: 'MODEL_ERROR' })

    expect(await waiting).toMatchObject({
      status: 200,
      body: {
        status: 'failed',
        error: 'It broke',
        response: 'It broke',
        error_id: 'MODEL_ERROR',
        output: null,
      },
    })
  })

  test('when the wait is over before the run, it answers 201 with the prediction as it stands', async () => {
    const reply = await call('POST /v1/predictions', {
      body: { model: 'echo', input: {} },
      headers: { prefer: 'respond-async, wait=1' },
    })
    expect(reply).toMatchObject({ status: 201, body: { status: 'pending' } })
  })

  test('get?wait answers at the next change of status', async () => {
    const id = await created()
    const waiting = callerOf(service.urls[1] ?? '', service.apiKey)(`GET /v1/predictions/${id}?wait=20`)
    await endRun(service.db, id)
    queue.signal('changed', [uuidOf(id)])

    expect((await waiting).body.status).toMatch(/^(starting|processing|succeeded)$/)
  })

  test('cancelling a running prediction shows the wish, and the end once the model has stopped', async () => {
    const id = await created()
    const fence = await beginRun(service.db, id)
    const heard: string[] = []
    const stop = queue.listen('cancel', (ids) => heard.push(...ids))
    await until(
      () => {
        queue.signal('cancel', ['anybody'])
        return heard.length > 0
      },
      { what: 'broadcasts to be heard' },
    )

    const asked = await call(`POST /v1/predictions/${id}/cancel`)

    expect(asked).toMatchObject({
      status: 200,
      body: { status: 'processing', success: true, metadata: { cancel_requested_at: expect.any(String) } },
    })
    await until(() => heard.includes(uuidOf(id)), { what: 'the broadcast' })
    stop()
    await settleCancelled(fence)
    expect((await call(`POST /v1/predictions/${id}/cancel`)).body).toMatchObject({
      status: 'cancelled',
      success: true,
    })
  })

  test('a cancel answers with the end when the model stops at once', async () => {
    const id = await created()
    const fence = await beginRun(service.db, id)
    const asked = call(`POST /v1/predictions/${id}/cancel`)
    await until(async () => (await call(`GET /v1/predictions/${id}`)).body.metadata.cancel_requested_at, {
      what: 'the wish to cancel',
    })
    await settleCancelled(fence)
    queue.signal('changed', [fence.id])

    expect((await asked).body).toMatchObject({
      success: true,
      metadata: { cancel_requested_at: expect.any(String) },
    })
    expect((await call(`GET /v1/predictions/${id}`)).body.status).toBe('cancelled')
  })

  async function settleCancelled(fence: { id: string; attempt: number }) {
    await settle(lifecycleOn(service.db), [{ ...fence, verb: 'cancel' }])
  }

  async function createdWith(input: object): Promise<string> {
    const row = await until(
      async () => {
        const { rows } = await service.db.pool.query<{ id: string }>(
          'select id from predictions where input::jsonb = $1::jsonb',
          [JSON.stringify(input)],
        )
        return rows[0]
      },
      { what: 'the create' },
    )
    return publicId(row.id)
  }
})

test('a draining api ends held waits, and its clients go on elsewhere', async () => {
  const service = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  const call = callerOf(service.url, service.apiKey)
  const { body } = await call('POST /v1/predictions', { body: { model: 'echo', input: {} } })
  const { url, apiKey: key } = service
  const stream = readStream({ url, key, id: body.id }, AbortSignal.timeout(20_000))
  expect((await stream.next()).value).toMatchObject({ id: '1', event: 'status' })

  const [rest, code] = await Promise.all([collect(stream), service.processes[0]?.stop()])

  expect([rest, code]).toEqual([[], 0])
  await service.stop()
})
