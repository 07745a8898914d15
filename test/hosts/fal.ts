import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { type Asked, type Cloud, jsonOf, Refusal, sendJson, startCloud } from './cloud.ts'
import { type CloudHost, type CloudOptions, cloudModel, createCloudJobs } from './cloud-host.ts'
import { type CloudInput, performWork } from './cloud-work.ts'
import { FalRequest } from './fal-request.ts'

/** fal's queue as its documentation has it, with one app, `acme/everything`, and all paths below it. */
export async function openHost(options: CloudOptions = {}): Promise<FalHost> {
  const requests = createCloudJobs<FalRequest>()
  const files = new Map<string, { bytes: Buffer; type: string }>()
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
    if (requests.isAway()) throw new Refusal(503, 'upstream connect error', { 'content-type': 'text/plain' })
    if (path === '/storage/upload/initiate') return initiate(asked, response)
    const [, app, id = '', verb = ''] = /^\/(.+?)\/requests\/([\w-]+)(\/.+)?$/.exec(path) ?? []
    if (app === undefined) return submit(asked, response)
    // The path below the app is no part of these.
    if (!apps.includes(app)) throw new Refusal(405, { detail: 'Method Not Allowed' })
    const request = requests.find(id)
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
        if (status < 300) requests.noteCancel()
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
      ahead: requests.all().filter(({ hasBegun }) => !hasBegun).length,
      keepFile(bytes) {
        const name = `${randomUUID()}.txt`
        files.set(name, { bytes, type: 'text/plain' })
        return `${base}/files/${name}`
      },
    })
    requests.add(request.id, request)
    void performWork(
      request.job(requests.released, (url) => files.get(url.slice(`${base}/files/`.length))?.bytes),
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
    description: cloudModel({ kind: 'fal', key, model: 'acme/everything/deluxe', base_url: base }, options),
    // The queue shows no output before its end.
    cannot: ['stream'],
    url: base,
    asked: cloud.asked,
    ...requests.controls,
    end(status, body, headers) {
      for (const request of requests.all()) request.end({ status, body, headers: headers ?? {} })
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

/** See `openHost`. */
export interface FalHost extends CloudHost {
  cannot: readonly ['stream']
  /** What is still at work ends with this answer in place of a result. */
  end(status: number, body: unknown, headers?: Record<string, string>): void
}
