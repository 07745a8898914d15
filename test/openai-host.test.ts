import OpenAI, { toFile } from 'openai'
import { describe, expect, test } from 'vitest'
import { apiKey, picture } from './hosts/openai-exchange.ts'
import { givenHost } from './openai-runs.ts'

describe("OpenAI's own client takes the fake host for one of its own", () => {
  test('images, by bytes, by address, in a stream, and from another image', async () => {
    const { client } = await given()
    const { data } = await client.images.generate({ prompt: 'A mill', model: 'm', n: 2 })
    expect(data?.map(({ b64_json }) => b64_json)).toEqual(Array(2).fill(picture.toString('base64')))
    const byUrl = await client.images.generate({ prompt: 'A mill', model: 'm', response_format: 'url' })
    const fetched = await fetch(byUrl.data?.[0]?.url ?? '')
    expect(Buffer.from(await fetched.arrayBuffer())).toEqual(picture)
    const types: string[] = []
    for await (const event of await client.images.generate({
      prompt: 'A',
      stream: true,
      partial_images: 2,
    })) {
      types.push(event.type)
    }
    expect(types).toEqual([
      'image_generation.partial_image',
      'image_generation.partial_image',
      'image_generation.completed',
    ])
    const edited = await client.images.edit({
      image: await toFile(picture, 'a.png'),
      prompt: 'Redder',
      model: 'm',
    })
    expect(edited.data).toHaveLength(1)
  })

  test('speech, and transcriptions whole and in a stream', async () => {
    const { client } = await given()
    const speech = await client.audio.speech.create({ model: 'm', voice: 'alloy', input: 'Hello' })
    const sound = Buffer.from(await speech.arrayBuffer())
    expect(sound.subarray(0, 4).toString()).toBe('RIFF')
    const file = () => toFile(sound, 'a.wav')
    const { text } = await client.audio.transcriptions.create({ model: 'm', file: await file() })
    expect(text).toBe('Hello from the host.')
    const deltas: string[] = []
    for await (const event of await client.audio.transcriptions.create({
      model: 'm',
      file: await file(),
      stream: true,
    })) {
      if (event.type === 'transcript.text.delta') deltas.push(event.delta)
    }
    expect(deltas.join('')).toBe(text)
  })

  test('videos, from their creation to their end', async () => {
    const { client, host } = await given()
    const { id, status } = await client.videos.create({ prompt: 'A mill turns', seconds: '4' })
    expect(status).toBe('queued')
    const seen = new Set<string>()
    while (!seen.has('completed')) seen.add((await client.videos.retrieve(id)).status)
    expect([...seen]).toEqual(['queued', 'in_progress', 'completed'])
    const content = await client.videos.downloadContent(id)
    expect(Buffer.from(await content.arrayBuffer()).toString('latin1')).toContain('ftypmp42')
    const listed: string[] = []
    for await (const video of client.videos.list()) listed.push(video.id)
    expect(listed).toEqual([id])
    expect(await client.videos.delete(id)).toMatchObject({ id, deleted: true })
    await expect(client.videos.retrieve(id)).rejects.toBeInstanceOf(OpenAI.NotFoundError)
    expect(host.created()).toBe(1)
  })

  test('models, and errors with all their parts', async () => {
    const { client, host } = await given()
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['the-images-model'])
    const stranger = new OpenAI({ apiKey: 'sk-wrong', baseURL: host.url, maxRetries: 0 })
    await expect(stranger.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError)
    const busy = { prompt: 'A mill', do: 'busy' }
    const refused = await client.images.generate(busy).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(OpenAI.RateLimitError)
    expect(refused).toMatchObject({ code: 'rate_limit_exceeded' })
  })
})

async function given() {
  const host = await givenHost()
  return { host, client: new OpenAI({ apiKey, baseURL: host.url, maxRetries: 0 }) }
}
