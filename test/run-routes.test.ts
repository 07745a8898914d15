import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf, publicId, refusalOf, uuidOf } from './api-caller.ts'
import { givenAccount } from './given-accounts.ts'
import { givenPrediction } from './given-predictions.ts'
import { endRun } from './given-runs.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

/** Of the first account, which has ample. */
const creditsLeft = { _balance_warning: false, _remaining_credits: 1_000_000 }

let service: Service
let call: ApiCaller
beforeAll(async () => {
  service = await startService({ queue: 'redis', workers: 0, dispatchers: 0, env: { AWAIT_SECONDS: '20' } })
  call = callerOf(service.url, service.apiKey)
})
afterAll(() => service.stop())

describe('run', () => {
  let marks = 0

  /** Runs a model and plays its worker, which ends the run like this. */
  async function ran(model: string, inputs: object, how: Parameters<typeof endRun>[2], extra: object = {}) {
    const tags = { mark: String(++marks) }
    const reply = call('POST /v1/run', { body: { model, inputs, tags, ...extra } })
    const row = await until(
      () =>
        service.db.kysely
          .selectFrom('prediction_tags')
          .select('prediction_id')
          .where('value', '=', tags.mark)
          .executeTakeFirst(),
      { what: 'the prediction' },
    )
    const id = publicId(row.prediction_id)
    await endRun(service.db, id, how)
    return { id, ...(await reply) }
  }

  test('an image model answers with data[].url', async () => {
    const { id, status, body } = await ran(
      'doodle',
      { prompt: 'a' },
      { output: ['http://x/1.png', 'http://x/2.png'] },
    )
    expect([status, body]).toEqual([
      200,
      {
        id,
        model: 'doodle',
        data: [{ url: 'http://x/1.png' }, { url: 'http://x/2.png' }],
        ...creditsLeft,
      },
    ])
  })

  test('every other kind answers with output', async () => {
    const { id, status, body } = await ran('echo', { a: 1 }, { output: { a: 1 } })
    expect([status, body]).toEqual([200, { id, model: 'echo', output: { a: 1 }, ...creditsLeft }])
  })

  test('a failed run is 422 and not to be sent again', async () => {
    const { id, status, body, headers } = await ran('echo', {}, { error: 'It broke' })
    expect(status).toBe(422)
    expect(body).toMatchObject({
      job_id: id,
      error: { error_id: 'MODEL_ERROR', message: 'It broke', type: 'model_error', code: 'model_error' },
    })
    expect(headers.get('x-should-retry')).toBe('false')
  })

  test.each([
    ['PROVIDER_UNAVAILABLE', 503],
    ['WORKER_LOST', 503],
    ['RUN_TIMEOUT', 504],
    ['START_TIMEOUT', 504],
    ['INVALID_OUTPUT', 422],
    ['A_NEW_ONE', 422],
  ])('a run that ended with %s is %i', async (errorId, status) => {
    const reply = await ran('echo', {}, { error: 'why', errorId })
    expect([reply.status, reply.headers.get('x-should-retry')]).toEqual([status, 'false'])
  })

  test.each<[string, object, Record<string, string>]>([
    ['async: true', { model: 'echo', inputs: {}, async: true }, {}],
    ['Prefer: respond-async', { model: 'echo', inputs: {} }, { prefer: 'respond-async' }],
    ['a video model', { model: 'doodle-video', inputs: { prompt: 'a' } }, {}],
  ])('%s answers 202 with a job', async (_, body, headers) => {
    const reply = await call('POST /v1/run', { body, headers })
    expect(reply.status).toBe(202)
    expect(reply.body).toEqual({
      status: 'accepted',
      job_id: expect.stringMatching(/^pred_/),
      poll_url: `${service.url}/v1/job/${reply.body.job_id}`,
      model: (body as { model: string }).model,
      ...creditsLeft,
    })
  })

  test('priority, expires_in, timeouts, retention and tags are kept as those of any create', async () => {
    const wishes = {
      priority: 'high',
      expires_in: 90,
      timeouts: { run: 7 },
      retention: { files_days: 1.5, data_days: 2 },
      tags: { team: 'red' },
    }
    const { body } = await call('POST /v1/run', {
      body: { model: 'echo', inputs: {}, async: true, ...wishes },
    })
    const { metadata } = (await call(`GET /v1/predictions/${body.job_id}`)).body
    expect(metadata).toMatchObject({ priority: 'high', expires_in: 90, tags: { team: 'red' } })
    const row = await service.db.kysely
      .selectFrom('predictions')
      .select(['timeouts', 'retention'])
      .where('id', '=', uuidOf(body.job_id))
      .executeTakeFirstOrThrow()
    expect(row).toMatchObject({ timeouts: { run: 7 }, retention: { files_days: 1.5, data_days: 2 } })
  })

  test.each<[string, object]>([
    ['expires_in', { expires_in: 0 }],
    ['priority', { priority: 'urgent' }],
    ['run_at', { run_at: 'tomorrow' }],
    ['retention.files_days', { retention: { files_days: 0 } }],
  ])('a wrong %s is refused by name', async (field, wrong) => {
    const reply = await call('POST /v1/run', { body: { model: 'echo', inputs: {}, async: true, ...wrong } })
    expect(refusalOf(reply)).toEqual({ status: 400, id: 'INVALID_PARAMETER', fields: [field] })
  })

  test.each<[string, object]>([
    ['the result', {}],
    ['a stream', { stream: true }],
  ])('who asks for %s of a run that starts later has a job at once', async (_what, more) => {
    const run_at = new Date(Date.now() + 10_000).toISOString()
    const { status, body } = await call('POST /v1/run', {
      body: { model: 'echo', inputs: {}, run_at, ...more },
    })
    expect([status, body.status]).toEqual([202, 'accepted'])
    const shown = (await call(`GET /v1/predictions/${body.job_id}`)).body
    expect(shown).toMatchObject({ status: 'pending', metadata: { run_at } })
  })

  test('input is taken for inputs, and it is a prediction like any other', async () => {
    const { body } = await call('POST /v1/run', { body: { model: 'echo', input: { b: 2 }, async: true } })
    expect((await call(`GET /v1/predictions/${body.job_id}`)).body).toMatchObject({
      input: { b: 2 },
      status: 'pending',
    })
  })

  test('stream: true answers with the events of the prediction', async () => {
    const { id, status, headers, text } = await ran('echo', {}, { output: 'x' }, { stream: true })
    expect([status, headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
    expect(text).toMatch(/event: done\ndata: \{.*\}\n\n$/)
    expect(text).toContain(id)
  })

  test.each<[string, object, number, string]>([
    ['no inputs', { model: 'echo' }, 400, 'INVALID_INPUT'],
    ['an unknown model', { model: 'no-such', inputs: {} }, 404, 'MODEL_NOT_FOUND'],
    ['wrong inputs', { model: 'doodle', inputs: {} }, 400, 'INVALID_INPUT'],
  ])('%s is refused with type and code', async (_, body, status, id) => {
    const reply = await call('POST /v1/run', { body })
    expect(refusalOf(reply)).toMatchObject({ status, id })
    expect(reply.body.error).toMatchObject({ type: expect.any(String), code: expect.any(String) })
  })

  test('a bad key has that dialect’s code', async () => {
    const reply = await callerOf(service.url)('POST /v1/run', { body: {} })
    expect(reply.body.error).toMatchObject({
      error_id: 'UNAUTHORIZED',
      type: 'invalid_request_error',
      code: 'invalid_api_key',
    })
  })
})

describe.each(['/v1/job', '/v1/jobs'])('jobs at %s', (path) => {
  test.each([
    ['pending', 'queued', null, null],
    ['starting', 'running', null, null],
    ['processing', 'running', null, null],
    ['succeeded', 'completed', { output: 'hello' }, null],
    ['failed', 'failed', null, 'It broke'],
    ['cancelled', 'failed', null, 'The job was cancelled.'],
  ] as const)('a %s prediction is %s', async (status, word, result, error) => {
    const { id } = await givenPrediction(service.db, status, {
      accountId: service.accountId,
      model: `m-${status}-${path}`,
    })
    const reply = await call(`GET ${path}/${publicId(id)}`)
    expect(reply.body).toEqual({
      job_id: publicId(id),
      status: word,
      model: `m-${status}-${path}`,
      result,
      error,
      created_at: expect.any(String),
      completed_at: result || error ? expect.any(String) : null,
    })
  })

  test('they are listed, newest first, by their words', async () => {
    const { accountId, apiKey } = await givenAccount(service)
    const own = callerOf(service.url, apiKey)
    const ids: Record<string, string[]> = { queued: [], running: [], completed: [], failed: [] }
    const words = {
      pending: 'queued',
      starting: 'running',
      processing: 'running',
      succeeded: 'completed',
      failed: 'failed',
      cancelled: 'failed',
    } as const
    for (const status of [
      'failed',
      'pending',
      'cancelled',
      'succeeded',
      'processing',
      'failed',
      'starting',
      'cancelled',
    ] as const)
      ids[words[status]]?.unshift(publicId((await givenPrediction(service.db, status, { accountId })).id))

    for (const [word, wanted] of Object.entries(ids)) {
      const { body } = await own(`GET ${path}?status=${word}`)
      expect(body.jobs.map(({ job_id }: { job_id: string }) => job_id)).toEqual(wanted)
      expect(body.count).toBe(wanted.length)
    }
    const paged = await Promise.all(
      [1, 2, 3].map((page) => own(`GET ${path}?status=failed&per_page=2&page=${page}`)),
    )
    expect(paged.flatMap(({ body }) => body.jobs.map(({ job_id }: { job_id: string }) => job_id))).toEqual(
      ids.failed,
    )
    expect((await own(`GET ${path}`)).body).toMatchObject({ count: 8 })
    expect(refusalOf(await own(`GET ${path}?page=1000000`))).toMatchObject({
      status: 400,
      id: 'INVALID_PARAMETER',
    })
    expect(refusalOf(await own(`GET ${path}?status=done`))).toMatchObject({
      status: 400,
      id: 'INVALID_PARAMETER',
    })
  })
})
