import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { ModelDescription } from '@millrace/models/description'
import { type Asked, type Cloud, jsonOf, Refusal, sendJson, startCloud } from './cloud.ts'
import { type CloudInput, performWork } from './cloud-work.ts'
import { describeWithKeys } from './describe-with-keys.ts'
import { FalRequest } from './fal-request.ts'

/** fal's queue as its documentation has it, with one app, `acme/everything`, and all paths below it. */
export async function openHost(options: FalOptions = {}): Promise<FalHost> {
  const requests = new Map<string, FalRequest>()
  const files = new Map<string, { bytes: Buffer; type: string }>()
  const release = Promise.withResolvers<void>()
  let away = false
  let created = 0
  let cancelled = 0
  const apps = [options.serves ?? 'acme/everything', 'workflows/acme/everything']
  const cloud: Cloud = await startCloud(route)
  const base = cloud.origin

  async function route(asked: Asked, response: ServerResponse): Promise<void> {
    const { method, path } = asked
    // Whoever knows these addresses may use them.
    if (path.startsWith('/files/')) return serveFile(asked, response)

    if (asked.headers.authorization !== `Key ${key}`) {
      throw new Refusal(401, {
        detail: 'Cannot access application "acme/everything". Authentication is required',
      })
    }
    if (away) throw new Refusal(503, 'upstream connect error', { 'content-type': 'text/plain' })
    if (path === '/storage/upload/initiate') return initiate(asked, response)
    const [, app, id = '', verb = ''] = /^\/(.+?)\/requests\/([\w-]+)(\/.+)?$/.exec(path) ?? []
    if (app === undefined) return submit(asked, response)
    // The path below the app is no part of these.
    if (!apps.includes(app)) throw new Refusal(405, { detail: 'Method Not Allowed' })
    const request = requests.get(id)
    if (!request) throw new Refusal(404, { status: 'NOT_FOUND' })
    const logs = asked.query.get('logs') === '1'
    switch (`${method} ${verb}`) {
      case 'GET /status':
        return sendJson(response, request.isOver ? 200 : 202, request.shown(logs))
      case 'GET /status/stream':
        return request.follow(response, logs)
      case 'GET ':
      case 'GET /response':
        return request.answer(response)
      case 'PUT /cancel': {
        const { status, body } = request.cancel()
        if (status < 300) cancelled += 1
        return sendJson(response, status, body)
      }
      default:
        throw new Refusal(405, { detail: 'Method Not Allowed' })
    }
  }

  async function submit(asked: Asked, response: ServerResponse): Promise<void> {
    const app = apps.find((one) => `${asked.path}/`.startsWith(`/${one}/`))
    if (asked.method !== 'POST' || app === undefined) {
      throw new Refusal(404, { detail: `Application "${asked.path.slice(1)}" not found` })
    }
    const input: CloudInput = { ...options.does, ...(jsonOf(asked) as CloudInput) }
    refuseAsTold(input)
    if (input.do === 'garbage') {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Welcome to nginx!</h1>')
      return
    }
    const request = new FalRequest({
      id: randomUUID(),
      input,
      at: `${options.urlsAt ?? base}/${app}`,
      webhook: asked.query.get('fal_webhook') ?? undefined,
      ahead: [...requests.values()].filter(({ status }) => status === 'IN_QUEUE').length,
      keepFile(bytes) {
        const name = `${randomUUID()}.txt`
        files.set(name, { bytes, type: 'text/plain' })
        return `${base}/files/${name}`
      },
    })
    requests.set(request.id, request)
    created += 1
    void performWork(
      request.job(release.promise, (url) => files.get(url.slice(`${base}/files/`.length))?.bytes),
    )
    if (input.do === 'cut') {
      response.destroy()
      return
    }
    if (input.do === 'late-answer') await delay(300)
    sendJson(response, 200, request.submitted(), { 'x-fal-request-id': request.id })
  }

  function initiate(asked: Asked, response: ServerResponse): void {
    const { content_type: type, file_name: name } = jsonOf(asked)
    const id = `${randomUUID()}_${name}`
    files.set(id, { bytes: Buffer.alloc(0), type: String(type) })
    const address = `${base}/files/${encodeURIComponent(id)}`
    sendJson(response, 200, { file_url: address, upload_url: `${address}?signature=abc` })
  }

  function serveFile({ method, path, query, body }: Asked, response: ServerResponse): void {
    const file = files.get(decodeURIComponent(path.slice('/files/'.length)))
    if (!file) throw new Refusal(404, { detail: 'No such file' })
    if (method === 'GET') return void response.writeHead(200, { 'content-type': file.type }).end(file.bytes)
    if (method !== 'PUT' || query.get('signature') !== 'abc') throw new Refusal(403, { detail: 'Forbidden' })
    file.bytes = body
    response.writeHead(200).end()
  }

  return {
    description: describe(base, options),
    // The queue shows no output before its end.
    cannot: ['stream'],
    url: base,
    asked: cloud.asked,
    created: () => created,
    begun: () => [...requests.values()].filter(({ status }) => status !== 'IN_QUEUE').length,
    ended: () => [...requests.values()].filter(({ isOver }) => isOver).length,
    cancelled: async () => cancelled,
    release: () => release.resolve(),
    goAway: () => {
      away = true
    },
    comeBack: () => {
      away = false
    },
    forget: () => requests.clear(),
    end(status, body, headers) {
      for (const request of requests.values()) request.end({ status, body, headers: headers ?? {} })
    },
    close: () => cloud.close(),
  }
}

/** Of the only account. */
export const key = 'conformance-id:conformance-secret-0123456789'

function refuseAsTold(input: CloudInput): void {
  switch (input.do) {
    case 'busy':
      throw new Refusal(
        429,
        { detail: 'Too many concurrent requests', error_type: 'concurrent_requests_limit' },
        { 'x-fal-error-type': 'concurrent_requests_limit' },
      )
    case 'poor':
      throw new Refusal(403, { detail: 'User is locked. Reason: Exhausted balance.' })
    case 'down':
      throw new Refusal(503, { detail: 'Service Unavailable' })
  }
}

function describe(base: string, { model = {}, provider = {} }: FalOptions): ModelDescription {
  return describeWithKeys(
    '/models/fal-here.yaml',
    {
      namespace: 'fal-here',
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
      provider: { kind: 'fal', key, model: 'acme/everything/deluxe', base_url: base, ...provider },
      ...model,
    },
    ['key'],
  )
}

interface FalOptions {
  /** In place of its own app. */
  serves?: string
  /** What it does with an input that does not say. */
  does?: CloudInput
  /** What it says that its own address is. */
  urlsAt?: string
  /** Of the description, beside what every one here says. */
  model?: Record<string, unknown>
  /** Of the settings in it. */
  provider?: Record<string, unknown>
}

/** The fake, and what tests of every kind ask of a host. */
export interface FalHost {
  description: ModelDescription
  cannot: readonly ['stream']
  url: string
  asked: Asked[]
  created(): number
  begun(): number
  ended(): number
  cancelled(): Promise<number>
  release(): void
  /** Its door answers 503 to everything until it comes back, and the queue works on. */
  goAway(): void
  comeBack(): void
  /** Knows no request any more. */
  forget(): void
  /** What is still at work ends with this answer in place of a result. */
  end(status: number, body: unknown, headers?: Record<string, string>): void
  close(): Promise<void>
}
