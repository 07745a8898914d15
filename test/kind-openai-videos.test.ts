import { expect, test } from 'vitest'
import { descriptionOf } from './hosts/openai.ts'
import { begin, fileIn, givenHost, run } from './openai-runs.ts'

test('a video is made, with its progress, and fetched', async () => {
  const host = await givenHost()
  const { result, events, kept } = await run(host, 'videos', { prompt: 'A mill turns', seconds: 4 })
  const { bytes, name, contentType } = await fileIn(result)
  expect(bytes.toString('latin1')).toContain('ftypmp42')
  expect({ name, contentType }).toEqual({ name: 'video.mp4', contentType: 'video/mp4' })
  expect(events[0]).toEqual({ kind: 'ready' })
  expect(events).toContainEqual({ kind: 'progress', percent: 33 })
  expect(kept).toEqual([{ id: expect.stringMatching(/^video_/) }])
  const values = { prompt: 'A mill turns', seconds: '4', model: 'the-videos-model' }
  expect(host.asked[0]).toMatchObject({ method: 'POST', path: '/v1/videos', values })
})

test('a video that waits at its host has not begun', async () => {
  const host = await givenHost()
  const { result, events } = await run(host, 'videos', { do: 'slow-start', text: 'A mill' })
  expect(result.kind).toBe('succeeded')
  const looks = host.asked.filter(({ method, path }) => method === 'GET' && !path.endsWith('/content'))
  expect(looks.length).toBeGreaterThan(4)
  expect(events.filter(({ kind }) => kind === 'ready')).toHaveLength(1)
})

test('what the host calls the video is kept before it is asked for', async () => {
  const host = await givenHost()
  const asked: number[] = []
  const keep = async () => void asked.push(host.asked.length)
  const { outcome } = await begin(descriptionOf('videos', host.url), { prompt: 'A mill' }, { keep })
  await outcome
  expect(asked).toEqual([1])
})

test.each(['drain', 'lost'])(
  'a run that stops for %s leaves the video, and the next takes it up',
  async (reason) => {
    const host = await givenHost('videos')
    const first = await begin(host.description, { do: 'hang' })
    await expect.poll(() => first.events).toContainEqual({ kind: 'ready' })
    first.stop(reason)
    expect(await first.outcome).toEqual({ kind: 'aborted' })
    expect(await host.cancelled()).toBe(0)

    host.release()
    const [job] = first.kept
    const next = await begin(host.description, { do: 'hang' }, job ? { job } : {})
    expect((await fileIn(await next.outcome)).bytes.toString()).toBe('DONE')
    expect(host.created()).toBe(1)
    expect(next.kept).toEqual([])
  },
)

test('a provider that closes leaves the video at work', async () => {
  const host = await givenHost('videos')
  const { outcome, events, close } = await begin(host.description, { do: 'hang' })
  await expect.poll(() => events).toContainEqual({ kind: 'ready' })
  await close()
  expect(await outcome).toEqual({ kind: 'aborted' })
  expect(await host.cancelled()).toBe(0)
})

test('a run that was taken away while it asked for a video makes none', async () => {
  const host = await givenHost('videos')
  const keep = () => Promise.reject(new Error('The run is lost'))
  const { outcome } = await begin(host.description, { do: 'hang' }, { keep })
  expect((await outcome).kind).not.toBe('succeeded')
  expect(await host.cancelled()).toBe(1)
})

test('a run that is cancelled while it asks for a video learns its id and removes it', async () => {
  const host = await givenHost('videos')
  const begun = await begin(host.description, { do: 'hang' }, { keep: async () => begun.stop('cancel') })
  expect(await begun.outcome).toEqual({ kind: 'aborted' })
  expect({ created: host.created(), cancelled: await host.cancelled() }).toEqual({ created: 1, cancelled: 1 })
})

test('a question that the connection lost is asked again', async () => {
  const host = await givenHost()
  const { result } = await run(host, 'videos', { do: 'cut-look', text: 'a mill' })
  expect(result.kind).toBe('succeeded')
  expect(host.created()).toBe(1)
})

test('a video that its host forgot while it was made is a failure', async () => {
  const host = await givenHost()
  const { result } = await run(host, 'videos', { do: 'lose' })
  expect(result).toMatchObject({ kind: 'failed', code: 'MODEL_ERROR' })
  expect(host.created()).toBe(1)
})

test('a video that its host forgot between two attempts is made anew, unless it must not be made twice', async () => {
  const host = await givenHost()
  const job = { id: 'video_of-yesterday' }
  const again = await begin(descriptionOf('videos', host.url), { prompt: 'A mill' }, { job })
  expect((await again.outcome).kind).toBe('succeeded')
  expect(again.kept).toHaveLength(1)
  const never = await begin(descriptionOf('videos', host.url, { rerun: 'never' }), { prompt: 'A' }, { job })
  expect(await never.outcome).toMatchObject({ kind: 'failed' })
  expect(host.created()).toBe(1)
})

test('a video that the host broke over is forgotten, so that the next attempt makes another', async () => {
  const host = await givenHost()
  const { result, kept } = await run(host, 'videos', { do: 'breaks' })
  expect(result).toMatchObject({ kind: 'unavailable', reason: 'The video server broke' })
  expect(kept.at(-1)).toEqual({})
})

test('a video that is there no more when it is fetched is a failure', async () => {
  const host = await givenHost()
  const { result } = await run(host, 'videos', { do: 'gone' })
  expect(result).toMatchObject({ kind: 'failed', detail: 'The host does not have the video any more.' })
})
