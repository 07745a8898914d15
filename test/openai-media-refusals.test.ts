import OpenAI, { APIError, toFile } from 'openai'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { callerOf } from './api-caller.ts'
import { startApiHere } from './api-here.ts'
import { type MediaService, startMediaService } from './given-media.ts'
import { until } from './harness/wait.ts'

let media: MediaService
let service: MediaService['service']
let client: MediaService['client']
let call: MediaService['call']
beforeAll(async () => {
  media = await startMediaService()
  service = media.service
  client = media.client
  call = media.call
})
afterAll(() => media.stop())

describe('errors', () => {
  const asked = { model: 'picture', prompt: 'a mill' }

  test.each<[string, object, object]>([
    [
      'an unknown model',
      { ...asked, model: 'pictur' },
      { status: 404, type: 'server_error', code: 'model_not_found', param: 'model' },
    ],
    [
      'a model of another surface',
      { ...asked, model: 'speak' },
      {
        status: 422,
        code: 'model_not_supported',
        message: expect.stringContaining('POST /v1/audio/speech'),
      },
    ],
    ['a size that is none', { ...asked, size: 'large' }, { status: 400, param: 'size' }],
    ['a ratio that the model lacks', { ...asked, size: '100x900' }, { status: 400, param: 'size' }],
    [
      'a size that the model cannot make',
      { ...asked, model: 'doodle', size: '4096x4096' },
      { status: 400, param: 'size', code: 'invalid_parameter' },
    ],
    ['more than the model makes', { ...asked, n: 5 }, { status: 400, param: 'n' }],
    ['several of a model that makes one', { ...asked, model: 'doodle', n: 2 }, { status: 400, param: 'n' }],
    ['no prompt', { model: 'picture' }, { status: 400, param: 'prompt', type: 'invalid_request_error' }],
    [
      'a run that fails',
      { model: 'fragile', prompt: 'No paint' },
      {
        status: 422,
        code: 'model_error',
        message: expect.stringContaining('No paint'),
        error: {
          details: { category: 'inference', prediction_id: expect.stringMatching(/^pred_/) },
        },
      },
    ],
  ])('%s', async (_, body, expected) => {
    const refused = await client.images.generate(body as never).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(APIError)
    expect(refused).toMatchObject(expected)
    expect(refused).toMatchObject({
      requestID: expect.stringMatching(/^req_/),
      error: { error_id: expect.any(String), details: { category: expect.any(String) } },
    })
  })

  test('a bad key, broken JSON and a wrong method have the same shape', async () => {
    const stranger = new OpenAI({ apiKey: 'nobody', baseURL: `${service.url}/v1` })
    await expect(stranger.images.generate(asked)).rejects.toMatchObject({
      status: 401,
      type: 'authentication_error',
      code: 'invalid_api_key',
    })
    const broken = await call('POST /v1/images/generations', { raw: '{' })
    expect(broken.body.error).toMatchObject({
      status: 400,
      code: 'invalid_request',
      type: expect.any(String),
    })
    const method = await call('GET /v1/audio/speech')
    expect(method.body.error).toMatchObject({ status: 404, error_id: 'ENDPOINT_NOT_FOUND' })
    expect((await call('GET /v1/videos/%zz')).body.error).toMatchObject({ status: 400, param: null })
    expect((await call('GET /v1/predictions/%zz')).body).toMatchObject({ status: false })
  })
})

describe('waiting', () => {
  const leaving = { model: 'never-ends', prompt: 'a mill' }

  test('a client that leaves takes its prediction along', async () => {
    const id = await leave({})
    await until(async () => (await statusOf(id)) === 'cancelled', { what: 'its end' })
  })

  test('with an Idempotency-Key it goes on, and the same request waits for it again', async () => {
    const id = await leave({ 'idempotency-key': 'come back' })
    const again = leave({ 'idempotency-key': 'come back' })
    expect(await again).toBe(id)
    expect(await statusOf(id)).toBe('processing')
    await call(`POST /v1/predictions/${id}/cancel`)
    const reply = await call('POST /v1/images/generations', {
      body: leaving,
      headers: { 'idempotency-key': 'come back' },
    })
    expect(reply).toMatchObject({ status: 422, body: { error: { error_id: 'CANCELLED' } } })
  })

  test('a form that is sent again is the same request', async () => {
    const send = async (text: string) =>
      client.audio.transcriptions
        .create(
          { model: 'transcript', file: await toFile(Buffer.from(text), 'a.wav') },
          { headers: { 'idempotency-key': 'a form' } },
        )
        .withResponse()
    const [first, second] = [await send('Hello'), await send('Hello')]
    expect(second.data).toEqual(first.data)
    expect(second.response.headers.get('x-prediction-id')).toBe(first.response.headers.get('x-prediction-id'))
    expect(second.response.headers.get('idempotency-replayed')).toBe('true')
    await expect(send('Goodbye')).rejects.toMatchObject({ status: 422, code: 'idempotency_key_reused' })
  })

  test('what takes too long is 504, names the prediction and is not sent again', async () => {
    const { url } = await givenApi({ MEDIA_AWAIT_SECONDS: '0.2' })
    const ask = (headers: Record<string, string>) =>
      callerOf(url, service.apiKey)('POST /v1/images/generations', { body: leaving, headers })
    const [plain, keyed] = await Promise.all([ask({}), ask({ 'idempotency-key': 'patient' })])
    const { error } = plain.body
    expect(error).toMatchObject({ status: 504, error_id: 'INFERENCE_TIMEOUT', code: 'timeout' })
    expect([plain, keyed].map((reply) => reply.headers.get('x-should-retry'))).toEqual(['false', 'true'])
    await expectUnfinished(error.details.prediction_id)
    await expectUnfinished(keyed.body.error.details.prediction_id)
  })

  test('an api that drains lets its clients go, and the prediction goes on', async () => {
    const { url, context } = await givenApi({})
    const reply = callerOf(url, service.apiKey)('POST /v1/images/generations', {
      body: { ...leaving, tags: { to: 'drain' } },
    })
    const id = await until(
      async () => (await call('GET /v1/predictions?tag.to=drain')).body.data[0]?.id as string | undefined,
      { what: 'the prediction' },
    )
    context.draining.abort()
    expect(await reply).toMatchObject({
      status: 503,
      body: { error: { error_id: 'SERVICE_UNAVAILABLE', details: { prediction_id: id } } },
    })
    await expectUnfinished(id)
  })

  async function givenApi(env: Record<string, string>) {
    const api = await startApiHere({ ...service, environment: { ...service.environment, ...env } })
    onTestFinished(() => api.close())
    return api
  }

  async function expectUnfinished(id: string): Promise<void> {
    expect(['pending', 'starting', 'processing']).toContain(await statusOf(id))
    await call(`POST /v1/predictions/${id}/cancel`)
  }

  async function statusOf(id: string): Promise<string> {
    return (await call(`GET /v1/predictions/${id}`)).body.status
  }

  /** Asks, and goes away when it runs; answers the id of the prediction. */
  async function leave(headers: Record<string, string>): Promise<string> {
    const gone = new AbortController()
    const reply = call('POST /v1/images/generations', { body: leaving, headers, signal: gone.signal })
    const id = await until(
      async () => {
        const { data } = (await call('GET /v1/predictions?model=never-ends&status=processing')).body
        return data[0]?.id as string | undefined
      },
      { within: 20_000, what: 'the run' },
    )
    gone.abort()
    await expect(reply).rejects.toThrow()
    return id
  }
})
