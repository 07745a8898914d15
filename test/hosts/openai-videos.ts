import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { type Exchange, moderated, refuse, refuses, reply } from './openai-exchange.ts'
import { wordsOf } from './openai-surfaces.ts'

/** The videos of the host. Each looks a little further on whenever it is asked for. */
export function createVideos(released: () => Promise<void>): Videos {
  const videos = new Map<string, Video>()
  let cancelled = 0
  let isReleased = false
  void released().then(() => {
    isReleased = true
  })

  function create(exchange: Exchange): ServerResponse {
    const { host, response, values } = exchange
    if (refusesNow.has(String(values.do)) && refuses(exchange)) return response
    host.created += 1
    if (values.do === 'cut') return response.destroy()
    if (values.do === 'garbage') return reply(response, { unexpected: [1, 2] })
    const video = { id: `video_${randomUUID()}`, values, words: wordsOf(exchange), looks: 0 }
    videos.set(video.id, video)
    return reply(response, shown(video))
  }

  function shown(video: Video) {
    const [status, progress] = stateOf(video, isReleased)
    const { model, prompt = null, seconds = '4', size = '720x1280' } = video.values
    const made = { id: video.id, object: 'video', model, status, progress, prompt, seconds, size }
    const error = status === 'failed' ? failures[String(video.values.do)]?.(video.words) : null
    const times = {
      created_at: 1_700_000_000,
      completed_at: null,
      expires_at: null,
      remixed_from_video_id: null,
    }
    return { ...made, ...times, error }
  }

  function remove({ response }: Exchange, video: Video): ServerResponse {
    const [status] = stateOf(video, isReleased)
    if (status === 'queued' || status === 'in_progress') cancelled += 1
    videos.delete(video.id)
    return reply(response, { id: video.id, object: 'video.deleted', deleted: true })
  }

  function answer(exchange: Exchange): ServerResponse {
    const { method, path, query, response } = exchange
    const [, id = '', content] = path.split('/').slice(2)
    if (id === '' && method === 'POST') return create(exchange)
    if (id === '') {
      const data = [...videos.values()].map(shown)
      return reply(response, { object: 'list', data, has_more: false, last_id: data.at(-1)?.id ?? null })
    }
    const video = videos.get(id)
    if (!video) return refuse(response, 404, { ...missing, message: `Video with id '${id}' not found.` })
    if (method === 'DELETE') return remove(exchange, video)
    if (content === 'content') {
      const bytes =
        video.values.do === undefined ? film : Buffer.from(video.values.do === 'hang' ? 'DONE' : video.words)
      const type = query.get('variant') === 'thumbnail' ? 'image/webp' : 'video/mp4'
      if (video.values.do === 'gone') return refuse(response, 404, { ...missing, message: 'Expired' })
      return response.writeHead(200, { 'content-type': type }).end(bytes)
    }
    video.looks += 1
    if (video.values.do === 'cut-look' && video.looks === 2) return response.destroy()
    if (video.values.do === 'lose' && video.looks === 2) {
      videos.delete(id)
      return refuse(response, 404, { ...missing, message: `Video with id '${id}' not found.` })
    }
    return reply(response, shown(video), 200, { 'openai-poll-after-ms': '5' })
  }

  return { answer, cancelled: () => cancelled }
}

function stateOf({ values, looks }: Video, isReleased: boolean): [string, number] {
  const end = values.do !== undefined && String(values.do) in failures ? 'failed' : 'completed'
  if (values.do === 'hang' && !isReleased) return looks < 2 ? ['queued', 0] : ['in_progress', 40]
  const waits = values.do === 'slow-start' ? 4 : 2
  if (looks < waits) return ['queued', 0]
  return looks < waits + 2 ? ['in_progress', (looks - waits + 1) * 33] : [end, 100]
}

const missing = { type: 'invalid_request_error', code: null, param: 'video_id' }

/** The others are found out while the video is made. */
const refusesNow = new Set(['busy', 'unpaid', 'down', 'broken', 'no-model', 'refuse-input'])

const failures: Record<string, (words: string) => object> = {
  fail: (words) => ({ code: 'video_generation_failed', message: words || 'The model gave up' }),
  policy: () => ({ code: moderated.code, message: moderated.message }),
  breaks: () => ({ code: 'server_error', message: 'The video server broke' }),
}

/** The beginning of an MP4 file. */
const film = Buffer.from('\0\0\0\x18ftypmp42\0\0\0\0mp42isom', 'latin1')

interface Video {
  id: string
  values: Record<string, unknown>
  words: string
  /** How often somebody asked how it is. */
  looks: number
}

export interface Videos {
  answer(exchange: Exchange): ServerResponse
  /** Videos that were removed before they were made. */
  cancelled(): number
}
