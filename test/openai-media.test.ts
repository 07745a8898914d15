import OpenAI, { APIError, toFile } from 'openai'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type ApiCaller, callerOf } from './api-caller.ts'
import { startApiHere } from './api-here.ts'
import { givenMediaModels } from './given-media.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

let service: Service
let models: Awaited<ReturnType<typeof givenMediaModels>>
let client: OpenAI
let call: ApiCaller
beforeAll(async () => {
  models = await givenMediaModels()
  service = await startService({
    queue: 'redis',
    dispatchers: 0,
    env: { MODELS_DIR: models.dir, POOLS: 'default,media', MAX_FILE_BYTES: '1000000' },
  })
  client = new OpenAI({ apiKey: service.apiKey, baseURL: `${service.url}/v1` })
  call = callerOf(service.url, service.apiKey)
})
afterAll(async () => {
  await service.stop()
  await models.close()
})

/** What a picture of the model `picture` says. */
const read = async (bytes: Buffer | Promise<Response>) =>
  JSON.parse(Buffer.isBuffer(bytes) ? bytes.toString() : await (await bytes).text())

describe('pictures', () => {
  test('a shipped model gives the URL of a picture in the size that was asked for', async () => {
    const { data } = await client.images.generate({ model: 'doodle', prompt: 'a mill', size: '256x256' })
    const picture = await fetch(data?.[0]?.url ?? '')
    expect(picture.headers.get('content-type')).toBe('image/png')
    const png = Buffer.from(await picture.arrayBuffer())
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([256, 256])
  })

  test('several of them, as base64, with fields of the model’s own', async () => {
    const asked = { prompt: 'a mill', n: 2, size: '1792x1024', response_format: 'b64_json', seed: 7 } as const
    const { data = [], created } = await client.images.generate({ model: 'picture', ...asked })
    const said = await Promise.all(data.map(({ b64_json = '' }) => read(Buffer.from(b64_json, 'base64'))))
    expect(said).toEqual([0, 1].map((index) => ({ prompt: 'a mill', seed: 7, aspect_ratio: '16:9', index })))
    expect(Math.abs(created - Date.now() / 1000)).toBeLessThan(600)
  })

  test('what clients send by default is no fault where the model has no such field', async () => {
    const usual = { n: 1, size: 'auto', quality: 'auto', style: 'vivid', background: 'auto' } as const
    const reply = await call('POST /v1/images/generations', {
      body: { ...usual, model: 'picture', prompt: 'x', user: 'me', moderation: null, output_format: 'png' },
    })
    expect(reply.status, reply.text).toBe(200)
    expect(await read(fetch(reply.body.data[0].url))).toEqual({ prompt: 'x', index: 0 })
  })

  test('a stream ends with the picture, whole', async () => {
    const stream = await client.images.generate({
      model: 'picture',
      prompt: 'a mill',
      stream: true,
      partial_images: 2,
    })
    const events = await allOf(stream)
    expect(events).toMatchObject([{ type: 'image_generation.completed', output_format: 'png' }])
    expect(await read(Buffer.from(events[0]?.b64_json ?? '', 'base64'))).toMatchObject({ prompt: 'a mill' })
  })

  test('a run that fails in a stream is its last frame', async () => {
    const stream = await client.images.generate({ model: 'fragile', prompt: 'No paint', stream: true })
    await expect(allOf(stream)).rejects.toMatchObject({ error: { error_id: 'MODEL_ERROR' } })
  })

  test('it is a prediction like any other, named in the reply', async () => {
    const { data, response } = await client.images
      .generate({ model: 'picture', prompt: 'a mill', tags: { by: 'test' } } as never)
      .withResponse()
    expect(data).toBeDefined()
    const { body } = await call(`GET /v1/predictions/${response.headers.get('x-prediction-id')}`)
    expect(body).toMatchObject({ status: 'succeeded', metadata: { tags: { by: 'test' } } })
  })
})

describe('speech', () => {
  test('is the bytes of the file that the model made', async () => {
    const response = await client.audio.speech.create({ model: 'speak', input: 'Hello', voice: 'de' })
    expect(response.headers.get('content-type')).toBe('audio/wav')
    expect(await response.text()).toBe('de: Hello')
  })

  test('comes as events where that is asked for', async () => {
    const response = await client.audio.speech.create({
      model: 'speak',
      input: 'Hello',
      voice: { id: 'en' },
      stream_format: 'sse',
    })
    const events = (await response.text()).split('\n\n').filter((frame) => frame.startsWith('event: '))
    const data = events.map((frame) => JSON.parse(frame.split('\ndata: ')[1] ?? ''))
    expect(data.map(({ type }) => type)).toEqual(['speech.audio.delta', 'speech.audio.done'])
    expect(Buffer.from(data[0].audio, 'base64').toString()).toBe('en: Hello')
  })
})

describe('a transcription', () => {
  const recording = (text = 'Hello') => toFile(Buffer.from(text), 'hello.wav', { type: 'audio/wav' })

  test('of a recording that comes along, which goes with its prediction', async () => {
    const { data, response } = await client.audio.transcriptions
      .create({ model: 'transcript', file: await recording(), language: 'en', temperature: 0 })
      .withResponse()
    expect(data).toEqual({ text: 'enHello' })
    const id = response.headers.get('x-prediction-id')
    const { input } = (await call(`GET /v1/predictions/${id}`)).body
    expect((await fetch(input.audio)).headers.get('content-disposition')).toContain('hello.wav')
    await call(`DELETE /v1/predictions/${id}`)
    expect((await call(`GET /v1/predictions/${id}`)).status).toBe(404)
  })

  test('as plain text, with what else the model knows, and as a stream', async () => {
    const file = await recording()
    const plain = await client.audio.transcriptions.create({
      model: 'transcript',
      file,
      response_format: 'text',
    })
    const verbose = await client.audio.transcriptions.create({
      model: 'detailed',
      file: await recording(),
      response_format: 'verbose_json',
    })
    const stream = await client.audio.transcriptions.create({
      model: 'transcript',
      file: await recording(),
      stream: true,
    })
    expect(plain).toBe('Hello')
    expect(verbose).toEqual({ task: 'transcribe', text: '1 recording', duration: 1.5 })
    expect(await allOf(stream)).toEqual([
      { type: 'transcript.text.delta', delta: 'Hello' },
      { type: 'transcript.text.done', text: 'Hello' },
    ])
  })

  test('of an address, as JSON', async () => {
    const file = `data:audio/wav;base64,${Buffer.from('Hi').toString('base64')}`
    const reply = await call('POST /v1/audio/transcriptions', { body: { model: 'transcript', file } })
    expect(reply.body).toEqual({ text: 'Hi' })
  })

  test.each<[string, object, string]>([
    ['a format that the model does not give', { response_format: 'srt' }, 'response_format'],
    ['a language that it does not know', { language: 'xx' }, 'language'],
    ['a field that it does not have', { chunking_strategy: 'auto' }, 'chunking_strategy'],
  ])('%s is refused by its name, and the recording is not kept', async (_, wrong, param) => {
    const before = await filesKept()
    const asked = { model: 'transcript', file: await recording(), ...wrong }
    await expect(client.audio.transcriptions.create(asked as never)).rejects.toMatchObject({
      status: 400,
      code: 'invalid_parameter',
      param,
    })
    expect(await filesKept()).toBe(before)
  })

  test('without a recording, or with too large a one, is refused', async () => {
    const form = new FormData()
    form.set('model', 'transcript')
    const without = await call('POST /v1/audio/transcriptions', { raw: form })
    expect(without.body.error).toMatchObject({ param: 'file', error_id: 'INVALID_PARAMETER' })
    const large = client.audio.transcriptions.create({
      model: 'transcript',
      file: await recording('x'.repeat(1_000_001)),
    })
    await expect(large).rejects.toMatchObject({ status: 413, error: { error_id: 'PAYLOAD_TOO_LARGE' } })
  })

  async function filesKept(): Promise<number> {
    return (await call('GET /v1/files')).body.pagination.total
  }
})

describe('videos', () => {
  const ended = (id: string) =>
    until(
      async () => {
        const video = await client.videos.retrieve(id)
        return ['completed', 'failed'].includes(video.status) && video
      },
      { within: 30_000, what: 'the video' },
    )

  test('a shipped model makes one: begun, looked at, fetched, deleted', async () => {
    const begun = await client.videos.create({
      model: 'doodle-video',
      prompt: 'a mill',
      size: '64x64' as never,
    })
    expect(begun).toMatchObject({ object: 'video', model: 'doodle-video', prompt: 'a mill', size: '64x64' })
    expect(['queued', 'in_progress']).toContain(begun.status)

    const video = await ended(begun.id)

    expect(video).toMatchObject({ id: begun.id, status: 'completed', progress: 100, error: null })
    expect(video.completed_at).toBeGreaterThanOrEqual(video.created_at)
    const content = await client.videos.downloadContent(begun.id)
    expect(content.headers.get('content-type')).toBe('image/webp')
    expect(Buffer.from(await content.arrayBuffer()).toString('latin1', 8, 12)).toBe('WEBP')
    expect(await client.videos.delete(begun.id)).toEqual({
      id: begun.id,
      object: 'video.deleted',
      deleted: true,
    })
    await expect(client.videos.retrieve(begun.id)).rejects.toMatchObject({ status: 404 })
  })

  test('of a picture that comes along, with a thumbnail and in parts', async () => {
    const { id } = await client.videos.create({
      model: 'film',
      prompt: 'a mill',
      seconds: '8',
      input_reference: await toFile(Buffer.from('a frame'), 'frame.png', { type: 'image/png' }),
    })
    expect(await ended(id)).toMatchObject({ seconds: '8', status: 'completed' })
    const thumbnail = await client.videos.downloadContent(id, { variant: 'thumbnail' })
    expect([thumbnail.headers.get('content-type'), await thumbnail.text()]).toEqual(['image/webp', 'a frame'])
    const part = await call(`GET /v1/videos/${id}/content`, { headers: { range: 'bytes=2-5' } })
    expect([part.status, part.text]).toEqual([206, 'mill'])
    const sheet = client.videos.downloadContent(id, { variant: 'spritesheet' })
    await expect(sheet).rejects.toMatchObject({ status: 404, error: { error_id: 'FILE_NOT_FOUND' } })
  })

  test('of an upload, as JSON', async () => {
    const upload = (await call('POST /v1/files?filename=a.png', { raw: 'uploaded' })).body
    const begun = await call('POST /v1/videos', {
      body: { model: 'film', prompt: 'a mill', input_reference: { file_id: upload.id } },
    })
    await ended(begun.body.id)
    const { text } = await call(`GET /v1/videos/${begun.body.id}/content?variant=thumbnail`)
    expect(text).toBe('uploaded')
    const strange = await call('POST /v1/videos', {
      body: { model: 'film', prompt: 'a mill', input_reference: { file_id: 'file_nobody' } },
    })
    expect(strange.body.error).toMatchObject({ status: 400, param: 'input_reference' })
  })

  test('are listed page by page, from either end, and no other prediction is', async () => {
    await call('POST /v1/predictions', { body: { model: 'echo', input: {} } })
    const ids: string[] = []
    for (const prompt of ['1', '2', '3'])
      ids.unshift((await client.videos.create({ model: 'film', prompt })).id)
    const newest = await allOf(client.videos.list({ limit: 2 }))
    const oldest = await allOf(client.videos.list({ limit: 2, order: 'asc' }))
    expect(newest.slice(0, 3).map(({ id }) => id)).toEqual(ids)
    expect(oldest.map(({ id }) => id)).toEqual(newest.map(({ id }) => id).reverse())
    expect(newest.every(({ object }) => object === 'video')).toBe(true)
  })

  test('one that is not there yet has no content, and a prediction of another kind is none', async () => {
    const { id } = (await call('POST /v1/predictions', { body: { model: 'echo', input: {} } })).body
    await expect(client.videos.retrieve(id)).rejects.toMatchObject({ code: 'prediction_not_found' })
    const cancelled = await client.videos.create({ model: 'doodle-video', prompt: 'x' })
    await call(`POST /v1/predictions/${cancelled.id}/cancel`)
    expect(await ended(cancelled.id)).toMatchObject({ status: 'failed', error: { code: 'cancelled' } })
    await expect(client.videos.downloadContent(cancelled.id)).rejects.toMatchObject({
      status: 404,
      message: expect.stringContaining('it is failed'),
    })
  })
})

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

test('the catalogue says which surfaces serve a model', async () => {
  const { body } = await call('GET /v1/models')
  const apis = Object.fromEntries(
    body.map((model: { namespace: string; apis: { name: string }[] }) => [
      model.namespace,
      model.apis.map(({ name }) => name),
    ]),
  )
  expect(apis).toMatchObject({
    doodle: ['predictions', 'images'],
    'doodle-video': ['predictions', 'videos'],
    speak: ['predictions', 'speech'],
    transcript: ['predictions', 'transcriptions'],
    upscale: ['predictions'],
    echo: ['predictions'],
  })
})

async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
