import { toFile } from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type MediaService, startMediaService } from './given-media.ts'
import { until } from './harness/wait.ts'

let media: MediaService
let client: MediaService['client']
let call: MediaService['call']
beforeAll(async () => {
  media = await startMediaService()
  client = media.client
  call = media.call
})
afterAll(() => media.stop())

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

async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
