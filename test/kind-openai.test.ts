import type { RunEvent } from '@millrace/providers/provider'
import { describe, expect, test } from 'vitest'
import { descriptionOf } from './hosts/openai.ts'
import { apiKey, picture } from './hosts/openai-exchange.ts'
import { begin, fileIn, givenFile, givenHost, run } from './openai-runs.ts'

const surfaces = ['images', 'speech', 'transcriptions', 'videos'] as const

describe('images', () => {
  test('are made from a prompt; every field goes by its name, and the model by the one of the settings', async () => {
    const host = await givenHost()
    const { result } = await run(host, 'images', {
      prompt: 'A mill',
      size: '1024x1024',
      quality: 'low',
      n: 1,
    })
    const { bytes, name, contentType } = await fileIn(result)
    expect({ bytes, name, contentType }).toEqual({
      bytes: picture,
      name: 'image.png',
      contentType: 'image/png',
    })
    expect(host.asked).toEqual([
      {
        method: 'POST',
        path: '/v1/images/generations',
        values: { prompt: 'A mill', size: '1024x1024', quality: 'low', n: 1, model: 'the-images-model' },
        files: {},
      },
    ])
  })

  test('are several files when several were asked for, and a list of one where the model says so', async () => {
    const host = await givenHost()
    const { result } = await run(host, 'images', { prompt: 'A mill', n: 3 })
    expect(result).toMatchObject({
      output: [{ name: 'image-1.png' }, { name: 'image-2.png' }, { name: 'image-3.png' }],
    })
    const output_schema = { type: 'array', items: { type: 'string', format: 'uri' } }
    const listed = await run(host, 'images', { prompt: 'A mill' }, { output_schema })
    expect(listed.result).toMatchObject({ output: [{ name: 'image.png' }] })
  })

  test('that the host names by an address are kept here', async () => {
    const host = await givenHost()
    const { result } = await run(host, 'images', { prompt: 'A mill', response_format: 'url' })
    const { bytes, contentType } = await fileIn(result)
    expect({ bytes, contentType }).toEqual({ bytes: picture, contentType: 'image/png' })
  })

  test('at an address inside that is not the host are not fetched', async () => {
    const host = await givenHost()
    const other = await givenHost()
    const prompt = `${other.url}/picture-1.png`
    const { result } = await run(host, 'images', { do: 'elsewhere', response_format: 'url', prompt })
    expect(result).toMatchObject({ kind: 'failed', code: 'INVALID_OUTPUT' })
    expect(other.asked).toEqual([])
  })

  test('are edited where the input has one, under whichever name', async () => {
    const host = await givenHost()
    const file = await givenFile('in.png', picture)
    const { result } = await run(host, 'images', { prompt: 'Redder', file })
    expect((await fileIn(result)).bytes).toEqual(picture)
    const [asked] = host.asked
    expect(asked?.path).toBe('/v1/images/edits')
    expect(asked?.files).toEqual({ image: { name: 'in.png', type: 'image/png', size: picture.length } })
    const images = { type: 'array', items: { type: 'string', format: 'uri' } }
    const mask = { type: 'string', format: 'uri' }
    const input = { image: images, mask }
    await run(host, 'images', { prompt: 'Both', image: [file, file], mask: file }, { input })
    expect(Object.keys(host.asked[1]?.files ?? {})).toEqual(['image[]', 'mask'])
  })

  test('tell how far they are when partial ones are asked for', async () => {
    const host = await givenHost()
    const { result, events } = await run(host, 'images', { prompt: 'A mill', partial_images: 1 })
    expect((await fileIn(result)).bytes).toEqual(picture)
    expect(events).toEqual([{ kind: 'ready' }, { kind: 'progress', percent: 50 }])
    expect(host.asked[0]?.values).toMatchObject({ stream: true, partial_images: 1 })
  })

  test('with a prompt that the host wrote anew say so in the log', async () => {
    const host = await givenHost()
    const { events } = await run(host, 'images', { do: 'log', text: 'A red mill at dawn' })
    expect(events).toContainEqual({ kind: 'log', text: 'Revised prompt: A red mill at dawn\n' })
  })
})

describe('speech', () => {
  test.each([
    [{}, 'speech.mp3', 'audio/mpeg'],
    [{ response_format: 'opus' }, 'speech.opus', 'audio/ogg'],
    [{ response_format: 'pcm' }, 'speech.pcm', 'audio/pcm'],
  ])('is a file of the format that %j asks for', async (more, name, contentType) => {
    const host = await givenHost()
    const { result } = await run(host, 'speech', { do: 'file', text: 'Hello', voice: 'alloy', ...more })
    const file = await fileIn(result)
    expect({ ...file, bytes: file.bytes.toString() }).toMatchObject({ bytes: 'Hello', name, contentType })
    const model = 'the-speech-model'
    expect(host.asked[0]?.values).toEqual({ do: 'file', input: 'Hello', voice: 'alloy', model, ...more })
  })

  test('of another format than was asked for is called what it is', async () => {
    const host = await givenHost()
    const input = { input: 'Hello', voice: 'alloy', response_format: 'mp3' }
    const { result } = await run(host, 'speech', input)
    expect(await fileIn(result)).toMatchObject({ name: 'speech.wav', contentType: 'audio/wav' })
  })

  test('that is a page or nothing at all is refused', async () => {
    const host = await givenHost()
    for (const input of [{ do: 'web-page', text: '<html>' }, { do: 'garbage' }, { do: 'file', text: '' }]) {
      const { result } = await run(host, 'speech', input)
      expect(result).toMatchObject({ kind: 'failed', code: 'INVALID_OUTPUT' })
    }
  })
})

describe('transcriptions', () => {
  test('stream their words where the model says that it streams', async () => {
    const host = await givenHost()
    const file = await givenFile('talk.mp3', Buffer.from('ID3 and so on'))
    const { result, events } = await run(host, 'transcriptions', { file, language: 'en', hints: ['a', 'b'] })
    expect(result).toMatchObject({ kind: 'succeeded', output: 'Hello from the host.' })
    expect(deltasOf(events)).toEqual(['Hello ', 'from ', 'the ', 'host.'])
    const [asked] = host.asked
    expect(asked?.files).toEqual({ file: { name: 'talk.mp3', type: 'audio/mpeg', size: 13 } })
    const model = 'the-transcriptions-model'
    expect(asked?.values).toEqual({ language: 'en', 'hints[]': 'b', stream: 'true', model })
  })

  test('stream from hosts that do as vLLM does', async () => {
    const host = await givenHost()
    const { result, events } = await run(host, 'transcriptions', { do: 'like-vllm', text: 'One two' })
    expect(result).toMatchObject({ kind: 'succeeded', output: 'One two' })
    expect(deltasOf(events)).toEqual(['One ', 'two'])
  })

  test.each([
    ['text', 'Hello from the host.'],
    ['json', 'Hello from the host.'],
    ['verbose_json', { text: 'Hello from the host.', duration: 1.5, segments: [] }],
  ])('in the format %s come whole', async (response_format, output) => {
    const host = await givenHost()
    const sound = await givenFile('talk', Buffer.from('fLaC and so on'))
    const traits = { capabilities: [], input: { sound: { type: 'string', format: 'uri' } } }
    const { result } = await run(host, 'transcriptions', { sound, response_format }, traits)
    expect(result).toMatchObject({ kind: 'succeeded', output })
    expect(host.asked[0]?.files).toEqual({ file: { name: 'talk.flac', type: 'audio/flac', size: 14 } })
  })

  test.each([
    ['ends before it is done', 'early-end', 'The host ended its answer before it was whole.'],
    ['ends with an error', 'stream-error', 'Lost it'],
  ])('of a stream that %s are nobody knows what', async (_, deed, reason) => {
    const host = await givenHost()
    const { result } = await run(host, 'transcriptions', { do: deed, text: 'One two' })
    expect(result).toMatchObject({ kind: 'unavailable', reason, uncertain: true })
  })
})

describe('which surface serves a model', () => {
  test.each([
    [{ type: 'audio' }, '/v1/audio/speech'],
    [{ type: 'music' }, '/v1/audio/speech'],
    [{ type: 'text' }, '/v1/audio/transcriptions'],
    [{ type: 'multimodal', capabilities: ['text-to-image'] }, '/v1/images/generations'],
    [{ type: 'audio', provider: { surface: 'transcriptions' } }, '/v1/audio/transcriptions'],
    [{ type: 'data', provider: { surface: 'videos' } }, '/v1/videos'],
  ])('%j is asked at %s', async (traits, path) => {
    const host = await givenHost()
    await run(host, 'images', { do: 'refuse-input' }, traits)
    expect(host.asked.map((one) => one.path)).toEqual([path])
  })

  test('a model that leaves it open is unavailable, with a word to the operator', async () => {
    const host = await givenHost()
    const { result } = await run(host, 'images', {}, { type: 'text', input: { file: { type: 'string' } } })
    expect(result).toMatchObject({ kind: 'unavailable', reason: expect.stringContaining('surface') })
    expect(host.asked).toEqual([])
  })
})

describe.each(surfaces)('on the surface %s', (surface) => {
  test.each<[string, Record<string, unknown>]>([
    ['policy', { kind: 'failed', code: 'CONTENT_POLICY_VIOLATION' }],
    ['fail', { kind: 'failed', code: 'MODEL_ERROR', detail: expect.stringContaining('Out of paint') }],
    ['refuse-input', { kind: 'failed', code: 'MODEL_ERROR', detail: expect.stringContaining('"text"') }],
    ['busy', { kind: 'unavailable', busy: true, retryAfterSeconds: 7 }],
    ['down', { kind: 'unavailable', down: true }],
    ['broken', { kind: 'unavailable', down: true, uncertain: true }],
    ['cut', { kind: 'unavailable', down: true, uncertain: true }],
    ['garbage', { kind: 'failed' }],
    ['unpaid', { kind: 'unavailable', retryAfterSeconds: 3600 }],
    ['no-model', { kind: 'unavailable', reason: expect.stringContaining('does not serve this model') }],
  ])('%s ends as it should, and shows no key', async (deed, outcome) => {
    const host = await givenHost()
    const { result, events } = await run(host, surface, { do: deed, text: 'Out of paint' })
    expect(result).toMatchObject(outcome)
    if (deed === 'unpaid' || deed === 'no-model') expect(result).not.toHaveProperty('busy')
    if (deed === 'down') expect(result).not.toHaveProperty('uncertain', true)
    expect(JSON.stringify([result, events])).not.toContain(apiKey)
  })

  test('a wrong key makes it unavailable and is not told', async () => {
    const host = await givenHost()
    const provider = { api_key: 'sk-not-taken' }
    const { result } = await run(host, surface, { do: 'succeed', text: 'hello' }, { provider })
    expect(result).toMatchObject({ kind: 'unavailable', reason: 'The host refused the API key (HTTP 401).' })
    expect(JSON.stringify(result)).not.toContain('sk-not-taken')
  })

  test('a host that is not there is down, and has surely done nothing', async () => {
    const host = await givenHost()
    await host.close()
    const { result } = await run(host, surface, { do: 'succeed' })
    expect(result).toMatchObject({ kind: 'unavailable', down: true })
    expect(result).not.toHaveProperty('uncertain')
  })

  test.each(['cancel', 'timeout'])('a run that is stopped for %s stops at the host', async (reason) => {
    const host = await givenHost()
    const { outcome, events, stop } = await begin(descriptionOf(surface, host.url), { do: 'hang' })
    await expect.poll(() => [host.created(), events[0]?.kind]).toEqual([1, 'ready'])
    stop(reason)
    expect(await outcome).toEqual({ kind: 'aborted' })
    await expect.poll(() => host.cancelled()).toBe(1)
  })
})

test.each(['images', 'speech', 'videos'] as const)(
  'a file of %s that is too large is refused',
  async (surface) => {
    const host = await givenHost()
    const input = { do: 'file', text: 'x'.repeat(1001) }
    const { outcome } = await begin(descriptionOf(surface, host.url), input, { maxFileBytes: 1000 })
    const detail = expect.stringContaining('larger than 1000 bytes')
    expect(await outcome).toMatchObject({ kind: 'failed', code: 'INVALID_OUTPUT', detail })
  },
)

test('words that are too many for an output are refused', async () => {
  const host = await givenHost()
  const { result } = await run(host, 'transcriptions', { do: 'succeed', text: 'x'.repeat(9 * 1024 * 1024) })
  expect(result).toMatchObject({ kind: 'failed', code: 'INVALID_OUTPUT' })
})

function deltasOf(events: RunEvent[]): unknown[] {
  return events.flatMap((event) => (event.kind === 'output' ? [event.delta] : []))
}
