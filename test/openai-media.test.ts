import { existsSync } from 'node:fs'
import { join } from 'node:path'
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { uuidOf } from './api-caller.ts'
import { type MediaService, startMediaService } from './given-media.ts'
import { startService } from './harness/service.ts'

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

test.skipIf(!existsSync('/usr/bin/espeak-ng'))('the example of the docs speaks with espeak-ng', async () => {
  const examples = join(import.meta.dirname, '../docs/examples')
  const own = await startService({ queue: 'redis', dispatchers: 0, env: { MODELS_DIR: examples } })
  onTestFinished(() => own.stop())
  const speaker = new OpenAI({ apiKey: own.apiKey, baseURL: `${own.url}/v1` })
  const sound = await speaker.audio.speech.create({ model: 'speak', input: 'The wheel turns.', voice: 'en' })
  expect(Buffer.from(await sound.arrayBuffer()).toString('latin1', 8, 12)).toBe('WAVE')
})

describe('a transcription', () => {
  const recording = (text = 'Hello') => toFile(Buffer.from(text), 'hello.wav', { type: 'audio/wav' })

  test('of a recording that comes along and belongs to its prediction', async () => {
    const { data, response } = await client.audio.transcriptions
      .create({ model: 'transcript', file: await recording(), language: 'en', temperature: 0 })
      .withResponse()
    expect(data).toEqual({ text: 'enHello' })
    const id = response.headers.get('x-prediction-id')
    const { input } = (await call(`GET /v1/predictions/${id}`)).body
    expect((await fetch(input.audio)).headers.get('content-disposition')).toContain('hello.wav')
    const files = service.db.kysely.selectFrom('files').select(['name', 'purpose'])
    expect(await files.where('prediction_id', '=', uuidOf(id ?? '')).execute()).toEqual([
      { name: 'hello.wav', purpose: 'input' },
    ])
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
