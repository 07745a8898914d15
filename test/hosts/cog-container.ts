import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import {
  allEvents,
  detail,
  discovery,
  flood,
  html,
  isObject,
  modeOf,
  noStreams,
  notReady,
  parse,
  send,
  traceHeaders,
} from './cog-answers.ts'
import type { CogInput } from './cog-model.ts'
import { type Asked, CogPrediction, type Mode, type WebhookEvent } from './cog-prediction.ts'
import { cogSchema, inputFaults, knownInputs } from './cog-schema.ts'

/**
 * A Cog container as its public HTTP contract describes it, around a predictor that does what its input says. Nothing
 * of Cog itself is in it: it is what a driver may rely on, down to the finished predictions that are forgotten at once.
 */
export async function startCogContainer(options: ContainerOptions = {}): Promise<CogContainer> {
  const settings = { ...defaults, ...options }
  const running = new Map<string, CogPrediction>()
  const requests: string[] = []
  const uploads = new Map<string, { bytes: Buffer; type: string }>()
  const closing = new AbortController()
  let release = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const cancelled: CogPrediction[] = []
  const counts = { created: 0 }
  let setup: Setup = settings.setup

  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    void answer(request, response).catch(() => response.destroy())
  })
  server.listen(settings.port, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', url)
    const method = request.method ?? ''
    const [, root, name, verb] = pathname.split('/')
    if (root === 'uploads') return serveUpload(request, response, name ?? '')
    const bytes = await buffer(request)
    if (bytes.length > 100 * 1024 * 1024) return send(response, 413, 'length limit exceeded')
    switch (`${method} ${verb === undefined ? pathname : verb}`) {
      case 'GET /':
        return send(response, 200, discovery)
      case 'GET /health-check':
        return send(response, 200, health())
      case 'GET /openapi.json':
        return setup === 'starting'
          ? send(response, 503, { error: 'OpenAPI schema not available' })
          : send(response, 200, cogSchema(settings))
      case 'POST /shutdown':
        send(response, 200, {})
        return void closing.abort()
      case 'POST cancel':
        return cancel(response, decodeURIComponent(name ?? ''))
    }
    const isWork = root === 'predictions' || root === 'trainings'
    const isCreate = (method === 'POST' && name === undefined) || (method === 'PUT' && name !== undefined)
    if (!isWork || !isCreate || verb !== undefined) return send(response, 404, 'Not Found')
    await create(request, response, bytes, {
      id: name && decodeURIComponent(name),
      canStream: root === 'predictions',
    })
  }

  async function create(request: IncomingMessage, response: ServerResponse, bytes: Buffer, asked: Place) {
    const body = bytes.length === 0 ? {} : parse(bytes)
    if (!isObject(body)) return send(response, 400, 'Failed to parse the request body as JSON')
    const { input = {}, context = {}, webhook, webhook_events_filter: events = allEvents } = body
    if (asked.id !== undefined && body.id !== undefined && body.id !== asked.id) {
      return send(
        response,
        422,
        detail(['body', 'id'], 'prediction ID must match the ID supplied in the URL'),
      )
    }
    if (!isObject(context) || Object.values(context).some((value) => typeof value !== 'string')) {
      return send(response, 422, detail(['body', 'context'], 'Input should be a valid string'))
    }
    const id = asked.id ?? (typeof body.id === 'string' ? body.id : `pred_${randomUUID().slice(0, 8)}`)
    const mode = modeOf(request, asked.canStream && !settings.python)
    const found = asked.id === undefined ? undefined : running.get(id)
    if (found) return join(found, mode, response)

    const given = knownInputs(isObject(input) ? input : {})
    if (mode === 'sse' && !settings.streaming) return send(response, 406, noStreams)
    if (setup !== 'ready' || given.do === 'down') return send(response, 503, notReady)
    const faults = inputFaults(given)
    if (faults.length > 0) return send(response, 422, { detail: faults })
    if (running.size >= settings.capacity || given.do === 'busy') return send(response, 409, full())
    if (given.do === 'garbage') return void response.writeHead(200, html).end('<html>It works!</html>')
    if (given.do === 'wrong-json') return send(response, 200, { items: [] })
    if (given.do === 'flood') return flood(response, mode)
    await begin(request, response, {
      id,
      mode,
      input: given as unknown as CogInput,
      webhook: typeof webhook === 'string' ? webhook : undefined,
      events: events as WebhookEvent[],
      headers: traceHeaders(request),
    })
  }

  async function begin(request: IncomingMessage, response: ServerResponse, asked: Asked): Promise<void> {
    counts.created += 1
    const prediction = new CogPrediction(asked, {
      ...settings,
      streaming: settings.streaming,
      released,
      webhooks: { token: settings.webhookToken, retryMs: settings.webhookRetryMs, closing: closing.signal },
      file: saveFile,
      untilNoticed: settings.untilNoticed,
      forget: ({ id }) => {
        running.delete(id)
      },
    })
    running.set(asked.id, prediction)
    void prediction.ended.then(() => prediction.isCancelled && cancelled.push(prediction))
    if (asked.input.do === 'cut') request.socket.setTimeout(100, () => request.socket.destroy())
    if (asked.mode === 'sse') return void prediction.subscribe(response)
    if (asked.mode === 'async') {
      if (asked.input.do === 'cut') return
      return send(response, 202, { id: asked.id, status: 'starting' })
    }
    response.once('close', () => {
      if (!response.writableFinished) prediction.cancel()
    })
    await prediction.ended
    const { id, status, error } = prediction
    const { metrics, ...rest } = prediction.snapshot()
    if (status === 'succeeded') return send(response, 200, { ...rest, metrics })
    const failed =
      status === 'failed' ? { id, error, logs: '', status, metrics } : { id, logs: '', status, metrics }
    send(response, prediction.invalid ? 422 : 200, failed)
  }

  function join(found: CogPrediction, mode: Mode, response: ServerResponse): void {
    if (mode !== 'sse') send(response, 202, found.snapshot())
    else if (!settings.streaming) send(response, 406, noStreams)
    else if (!found.subscribe(response)) send(response, 429, { error: 'Too many stream subscribers' })
  }

  function cancel(response: ServerResponse, id: string): void {
    const found = running.get(id)
    found?.cancel()
    send(response, found ? 200 : 404, {})
  }

  function health(): object {
    const failed = setup === 'failed'
    const status = { starting: 'STARTING', failed: 'SETUP_FAILED', defunct: 'DEFUNCT', ready: 'READY' }[setup]
    return {
      status: setup === 'ready' && running.size >= settings.capacity ? 'BUSY' : status,
      setup: {
        started_at: '2026-01-01T00:00:00Z',
        status: setup === 'starting' ? 'starting' : failed ? 'failed' : 'succeeded',
        logs: failed ? 'Loading weights\nCUDA out of memory\n' : '',
      },
      version: { coglet: '0.17.0', cog: '0.17.0', python: '3.13.1' },
    }
  }

  function full(): object {
    return settings.python
      ? { detail: 'Already running a prediction' }
      : { error: 'At capacity - all prediction slots busy', status: 'failed' }
  }

  /** Inline, or where `--upload-url` says. */
  async function saveFile(text: string): Promise<string> {
    if (settings.files === 'data') return `data:text/plain;base64,${Buffer.from(text).toString('base64')}`
    const target = `${settings.uploadUrl ?? `${url}/uploads`}/${randomUUID()}.txt`
    const stored = await fetch(target, {
      method: 'PUT',
      body: text,
      headers: { 'content-type': 'text/plain' },
    })
    if (!stored.ok) throw new Error(`Failed to upload file: HTTP ${stored.status}`)
    const final = new URL(stored.headers.get('location') ?? target, target)
    final.search = ''
    return final.href
  }

  async function serveUpload(
    request: IncomingMessage,
    response: ServerResponse,
    name: string,
  ): Promise<void> {
    if (request.method === 'PUT') {
      uploads.set(name, { bytes: await buffer(request), type: request.headers['content-type'] ?? '' })
      return void response.writeHead(201, { location: `/uploads/${name}?signature=1` }).end()
    }
    const found = uploads.get(name)
    if (!found) return send(response, 404, 'Not Found')
    response.writeHead(200, { 'content-type': found.type }).end(found.bytes)
  }

  closing.signal.addEventListener('abort', () => {
    for (const prediction of running.values()) prediction.cancel()
    server.closeAllConnections()
    server.close()
  })
  return {
    url,
    requests,
    created: () => counts.created,
    async cancelled() {
      await Promise.all(
        [...running.values()].filter(({ isCancelled }) => isCancelled).map(({ ended }) => ended),
      )
      return cancelled.length
    },
    running: () => [...running.keys()],
    becomes(next) {
      setup = next
    },
    release,
    async close() {
      closing.abort()
    },
  }
}

const defaults = {
  port: 0,
  capacity: 1,
  setup: 'ready' as Setup,
  streaming: true,
  python: false,
  files: 'data' as 'data' | 'url',
  uploadUrl: undefined as string | undefined,
  webhookToken: undefined as string | undefined,
  webhookRetryMs: 100,
  historyCapacity: 1024,
  maxSubscribers: 1024,
  untilNoticed: () => Promise.resolve(),
}

type Setup = 'starting' | 'ready' | 'failed' | 'defunct'

interface Place {
  id: string | undefined
  /** Trainings have no streams. */
  canStream: boolean
}

export type ContainerOptions = Partial<typeof defaults>

export interface CogContainer {
  url: string
  /** Each as `PUT /predictions/…`. */
  requests: string[]
  /** Predictions begun, in all. */
  created(): number
  /** Predictions that were cancelled and have stopped. */
  cancelled(): Promise<number>
  running(): string[]
  /** Its setup comes to this. */
  becomes(next: Setup): void
  /** Work that hangs goes on and yields 'DONE'. */
  release(): void
  close(): Promise<void>
}
