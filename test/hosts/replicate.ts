import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { ModelDescription } from '@millrace/models/description'
import { type Asked, type Cloud, jsonOf, Refusal, sendJson, startCloud } from './cloud.ts'
import { type CloudInput, performWork } from './cloud-work.ts'
import { describeWithKeys } from './describe-with-keys.ts'
import { createFiles, type Files } from './replicate-files.ts'
import { Prediction } from './replicate-prediction.ts'

/** Replicate's HTTP API as its documentation has it, with one official model, `acme/everything`, and its version. */
export async function openHost(options: ReplicateOptions = {}): Promise<ReplicateHost> {
  const predictions = new Map<string, Prediction>()
  const release = Promise.withResolvers<void>()
  let away = false
  let created = 0
  let cancelled = 0
  const cloud: Cloud = await startCloud(route)
  const base = `${cloud.origin}/v1`
  const files: Files = createFiles(base)

  async function route(asked: Asked, response: ServerResponse): Promise<void> {
    const path = asked.path.replace(/^\/v1/, '')
    const at = `${asked.method} ${path}`
    // These two addresses carry their own credential.
    const [, stream] = /^GET \/stream\/(\w+)$/.exec(at) ?? []
    if (stream) return found(stream).follow(response)
    if (/^GET \/files\/\w+\/download$/.test(at)) return files.download(asked, response)

    authenticate(asked)
    if (options.redirects && asked.method === 'GET') {
      response.writeHead(302, { location: `${options.redirects}${path}` }).end()
      return
    }
    if (away) throw problem(503, 'Service Unavailable', 'Try again later')
    if (path.startsWith('/files')) return files.serve(asked, path, response)
    const [, id = '', verb] = /^\/predictions\/(\w+)(\/cancel)?$/.exec(path) ?? []
    if (asked.method === 'GET' && id && !verb) return sendJson(response, 200, found(id).shown())
    if (asked.method === 'POST' && verb) {
      if (found(id).cancel()) cancelled += 1
      return sendJson(response, 200, found(id).shown())
    }
    if (asked.method === 'POST' && /\/predictions$/.test(path)) return create(asked, path, response)
    throw problem(404, 'Not found', 'The requested resource could not be found.')
  }

  function found(id: string): Prediction {
    const prediction = predictions.get(id)
    if (!prediction) throw problem(404, 'Not found', 'The requested resource could not be found.')
    return prediction
  }

  async function create(asked: Asked, path: string, response: ServerResponse): Promise<void> {
    const body = jsonOf(asked)
    checkBody(body, path, options.serves)
    const input: CloudInput = { ...options.does, ...(body.input as CloudInput) }
    refuseAsTold(input)
    if (input.do === 'garbage') {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Welcome to nginx!</h1>')
      return
    }
    const id = newId()
    const prediction = new Prediction({
      id,
      input,
      base: options.urlsAt ?? base,
      streams: options.streams !== false,
      webhook: typeof body.webhook === 'string' ? body.webhook : undefined,
      events: body.webhook_events_filter as string[] | undefined,
      keepFile: (bytes) => files.keep(bytes, 'output.txt', 'text/plain').urls.download,
    })
    predictions.set(id, prediction)
    created += 1
    const { promise: released } = release
    void performWork(prediction.job(released, (url) => files.stored(url)))
    if (input.do === 'cut') {
      response.destroy()
      return
    }
    const shown = prediction.shown()
    if (input.do === 'late-answer') await delay(300)
    const [, wait = '60'] = /^wait(?:=(\d+))?$/.exec(String(asked.headers.prefer ?? '')) ?? []
    if (asked.headers.prefer) await Promise.race([prediction.ended, delay(Number(wait) * 1000)])
    // A create that does not wait shows the prediction as it was made, whatever has happened since.
    sendJson(response, 201, asked.headers.prefer ? prediction.shown() : shown)
  }

  function authenticate({ headers }: Asked): void {
    if (headers.authorization === undefined) {
      throw problem(401, 'Unauthenticated', 'You did not pass an authentication token')
    }
    if (!['Bearer', 'Token'].some((word) => headers.authorization === `${word} ${token}`)) {
      throw problem(401, 'Unauthenticated', 'You did not pass a valid authentication token')
    }
  }

  return {
    description: describe(base, options),
    cannot: [],
    retryAfterSeconds: 7,
    url: base,
    asked: cloud.asked,
    created: () => created,
    begun: () => [...predictions.values()].filter(({ status }) => status !== 'starting').length,
    ended: () => [...predictions.values()].filter(({ isOver }) => isOver).length,
    cancelled: async () => cancelled,
    release: () => release.resolve(),
    goAway: () => {
      away = true
    },
    comeBack: () => {
      away = false
    },
    forget: () => predictions.clear(),
    end(status, error) {
      for (const prediction of predictions.values()) prediction.end(status, { error: error ?? null })
    },
    removeData() {
      for (const prediction of predictions.values()) prediction.removeData()
    },
    close: () => cloud.close(),
  }
}

/** Of the only account. */
export const token = 'r8_conformance0123456789012345678901'

/** Of the only model. */
export const version = '5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa'

/** An error as Replicate answers it. */
export function problem(status: number, title: string, detail: string, more = {}): Refusal {
  return new Refusal(status, { title, detail, status, ...more })
}

function checkBody(body: Record<string, unknown>, path: string, serves = 'acme/everything'): void {
  const [name, id = version] = serves.split(':')
  const unknown = Object.keys(body).filter(
    (key) => !['version', 'input', 'webhook', 'webhook_events_filter', 'stream'].includes(key),
  )
  if (unknown.length > 0) {
    throw problem(
      422,
      'Unprocessable Entity',
      `- ${unknown[0]}: Additional property ${unknown[0]} is not allowed`,
    )
  }
  if (typeof body.input !== 'object' || body.input === null) {
    throw problem(422, 'Unprocessable Entity', '- input: is required')
  }
  if (path === '/predictions') {
    if (![id, `${name}:${id}`, name].includes(String(body.version))) {
      throw problem(
        422,
        'Invalid version or not permitted',
        'The specified version does not exist (or perhaps you don’t have permission to use it?)',
      )
    }
  } else if (![`/models/${name}/predictions`, '/deployments/acme/mine/predictions'].includes(path)) {
    throw problem(404, 'Not found', 'The requested resource could not be found.')
  }
}

function refuseAsTold(input: CloudInput): void {
  switch (input.do) {
    case 'refuse-input':
      throw problem(422, 'Input validation failed', '- input.text: Does not match pattern\n', {
        invalid_fields: [{ type: 'pattern', field: 'input.text', description: 'Does not match pattern' }],
      })
    case 'busy':
      throw new Refusal(
        429,
        { detail: 'Request was throttled. Your rate limit resets in ~7s.' },
        { 'ratelimit-remaining': '0', 'ratelimit-reset': '7' },
      )
    case 'poor':
      throw problem(402, 'Payment Required', 'You have insufficient credit to run this model.')
    case 'down':
      throw problem(503, 'Service Unavailable', 'Try again later')
  }
}

/** 26 characters, as Replicate's. */
function newId(): string {
  return [...randomBytes(26)].map((byte) => '0123456789abcdefghjkmnpqrstvwxyz'[byte % 32]).join('')
}

function describe(base: string, { model = {}, provider = {} }: ReplicateOptions): ModelDescription {
  return describeWithKeys(
    '/models/replicate-here.yaml',
    {
      namespace: 'replicate-here',
      type: 'multimodal',
      concurrency: 8,
      input_schema: {
        type: 'object',
        properties: {
          do: { type: 'string' },
          text: { type: 'string' },
          file: { type: 'string', format: 'uri' },
        },
      },
      provider: { kind: 'replicate', token, model: 'acme/everything', base_url: base, ...provider },
      ...model,
    },
    ['token'],
  )
}

interface ReplicateOptions {
  /** Whether its model can stream. */
  streams?: boolean
  /** In place of its own model: another one by its name, with a version of it or without. */
  serves?: string
  /** What it does with an input that does not say. */
  does?: CloudInput
  /** Each GET is sent on to there. */
  redirects?: string
  /** What it says that its own address is. */
  urlsAt?: string
  /** Of the description, beside what every one here says. */
  model?: Record<string, unknown>
  /** Of the settings in it. */
  provider?: Record<string, unknown>
}

/** The fake, and what tests of every kind ask of a host. */
export interface ReplicateHost {
  description: ModelDescription
  cannot: readonly never[]
  retryAfterSeconds: number
  url: string
  asked: Asked[]
  created(): number
  begun(): number
  ended(): number
  cancelled(): Promise<number>
  release(): void
  /** Answers 503 to everything until it comes back, and works on. */
  goAway(): void
  comeBack(): void
  /** Knows no prediction any more. */
  forget(): void
  /** What is still at work ends like this. */
  end(status: 'failed' | 'canceled' | 'aborted', error?: string): void
  /** Inputs, outputs and logs are removed, as an hour after a prediction has ended. */
  removeData(): void
  close(): Promise<void>
}
