import type { ServerResponse } from 'node:http'
import type { ModelDescription } from '@millrace/models/description'
import { type Asked as AskedRaw, startCloud } from './cloud.ts'
import { describeWithKeys } from './describe-with-keys.ts'
import {
  type Asked,
  apiKey,
  type Exchange,
  type FakeHost,
  type HostFields,
  picture,
  refuse,
  reply,
} from './openai-exchange.ts'
import { performHere, type Surface } from './openai-surfaces.ts'
import { createVideos, type Videos } from './openai-videos.ts'

/**
 * An OpenAI-compatible host: images, speech, transcriptions and videos as OpenAI's own client asks for them. What a
 * request comes to is told by its field `do`, which the kind passes on by its name as it does every field; the words
 * are in whichever of `text`, `input` and `prompt` the route has. Without `do` it works as any host would.
 */
export async function openHost(surface: Surface = 'transcriptions', { port = 0 } = {}): Promise<OpenaiHost> {
  const released = Promise.withResolvers<void>()
  const videos = createVideos(() => released.promise)
  const host: FakeHost = {
    base: '',
    released: released.promise,
    created: 0,
    dropped: 0,
    asked: [],
  }
  const server = await startCloud((asked, response) => answer({ host, videos }, asked, response), { port })
  host.base = `${server.origin}/v1`
  return {
    url: host.base,
    asked: host.asked,
    description: descriptionOf(surface, host.base),
    cannot: cannot[surface],
    created: () => host.created,
    cancelled: async () => host.dropped + videos.cancelled(),
    release: () => released.resolve(),
    close: () => server.close(),
  }
}

/** A model that this host serves. */
export function descriptionOf(surface: Surface, base: string, more: Traits = {}): ModelDescription {
  const { provider, input, ...traits } = more
  return describeWithKeys(
    'openai-host.yaml',
    {
      namespace: `fake-${surface}`,
      type: types[surface],
      concurrency: 4,
      input_schema: {
        type: 'object',
        properties: {
          do: { type: 'string' },
          text: { type: 'string' },
          file: { type: 'string', format: 'uri' },
          ...input,
        },
      },
      ...(surface === 'transcriptions' ? { capabilities: ['streaming'] } : {}),
      ...traits,
      provider: {
        kind: 'openai',
        base_url: base,
        api_key: apiKey,
        model: `the-${surface}-model`,
        ...provider,
      },
    },
    ['api_key'],
  )
}

async function answer({ host, videos }: Parts, asked: AskedRaw, response: ServerResponse): Promise<unknown> {
  const { method, path, query, headers } = asked
  const fields = await fieldsOf(asked)
  host.asked.push({ method, path, ...fields })
  if (path.startsWith('/v1/picture')) {
    return response.writeHead(200, { 'content-type': 'image/png' }).end(picture)
  }
  const sent = headers.authorization ?? 'nothing'
  if (sent !== `Bearer ${apiKey}`) {
    return refuse(response, 401, {
      message: `Incorrect API key provided: ${sent.replace('Bearer ', '')}.`,
      type: 'invalid_request_error',
      code: 'invalid_api_key',
      param: null,
    })
  }
  const exchange: Exchange = { host, method, path, query, ...fields, response }
  if (path === '/v1/models') return reply(response, { object: 'list', data: models })
  if (path.startsWith('/v1/videos')) return videos.answer(exchange)
  return performHere(exchange)
}

async function fieldsOf({ headers, body }: AskedRaw): Promise<HostFields> {
  const type = headers['content-type'] ?? ''
  if (type.startsWith('application/json')) return { values: JSON.parse(body.toString('utf8')), files: {} }
  if (!type.startsWith('multipart/')) return { values: {}, files: {} }
  const form = await new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData()
  const values: Record<string, unknown> = {}
  const files: HostFields['files'] = {}
  for (const [name, value] of form) {
    if (typeof value === 'string') values[name] = value
    else files[name] = { name: value.name, type: value.type, size: value.size }
  }
  return { values, files }
}

const types = { images: 'image', speech: 'audio', transcriptions: 'text', videos: 'video' }

const models = [{ id: 'the-images-model', object: 'model', created: 1_700_000_000, owned_by: 'fake' }]

const cannot: Record<Surface, ConformanceDeed[]> = {
  // These three hold the connection until all is done; the first two answer with nothing but a file.
  images: ['slow-start', 'stream', 'progress', 'take-file'],
  speech: ['slow-start', 'stream', 'progress', 'log', 'take-file'],
  transcriptions: ['slow-start', 'progress', 'log', 'file'],
  videos: ['stream', 'log', 'take-file'],
}

/** What the fake host does with a run. */
export type ConformanceDeed =
  | 'succeed'
  | 'fail'
  | 'refuse-input'
  | 'busy'
  | 'down'
  | 'slow-start'
  | 'stream'
  | 'progress'
  | 'log'
  | 'file'
  | 'take-file'
  | 'hang'
  | 'garbage'
  | 'cut'
  | 'policy'

export interface OpenaiHost {
  /** Its `base_url`. */
  url: string
  /** Every request that arrived, in turn. */
  asked: Asked[]
  description: ModelDescription
  cannot: readonly ConformanceDeed[]
  created(): number
  cancelled(): Promise<number>
  release(): void
  close(): Promise<void>
}

interface Traits extends Record<string, unknown> {
  provider?: Record<string, unknown>
  /** Properties of the input beside `do`, `text` and `file`. */
  input?: Record<string, unknown>
}

interface Parts {
  host: FakeHost
  videos: Videos
}
