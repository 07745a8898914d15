import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { describeSettings } from '@millrace/models/description'
import { openCallback, report } from '../callback-here.ts'
import { type ConformanceInput, conformanceSecret, type HostUnderTest } from '../conformance-run.ts'

/** The host of the kind `http`: it answers at once, or has jobs that are asked for, or reports to a callback as well. */
export async function openHost(way: 'sync' | 'poll' | 'callback' = 'sync'): Promise<HostUnderTest> {
  const jobs = new Map<string, FakeJob>()
  const released = Promise.withResolvers<void>()
  const callback = way === 'callback' ? await openCallback() : undefined
  let created = 0
  let cancelled = 0

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const url = `http://127.0.0.1:${port}`

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? ''
    if (path.startsWith('/files/')) {
      const bytes = Buffer.from(path.slice('/files/'.length), 'base64url')
      response.writeHead(200, { 'content-type': 'text/plain' }).end(bytes)
    } else if (path === '/run') await take(request, response)
    else await tellOf(jobs.get(path.split('/')[2] ?? ''), request, response)
  }

  async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { callback_url, ...input } = (await json(request)) as ConformanceInput & { callback_url?: string }
    if (request.headers.authorization !== `Bearer ${conformanceSecret}`)
      return send(response, 401, { error: 'Who are you?' })
    const refusal = refusals[input.do]
    if (refusal) return send(response, refusal.status, refusal.body, refusal.headers)
    created += 1
    if (way === 'sync') return answerNow(input, response)
    if (input.do === 'cut' && way === 'callback') return cut(response)
    const job: FakeJob = { id: `job-${created}`, input, state: 'queued', callback: callback_url }
    jobs.set(job.id, job)
    void work(job)
    return send(response, 202, { id: job.id, links: { self: `/jobs/${job.id}` } })
  }

  async function answerNow(input: ConformanceInput, response: ServerResponse): Promise<void> {
    response.on('close', () => {
      if (!response.writableFinished && input.do === 'hang') cancelled += 1
    })
    const { text = '' } = input
    const events: Record<string, unknown>[] = []
    switch (input.do) {
      case 'cut':
        return cut(response)
      case 'garbage':
        return void response.writeHead(200, { 'content-type': 'application/json' }).end('{"output": "half')
      case 'stream':
        events.push(...text.split(' ').map((word) => ({ delta: `${word} ` })))
        break
      case 'progress':
        events.push({ percent: 40 }, { output: text.toUpperCase() })
        break
      case 'log':
        events.push({ said: text }, { output: text.toUpperCase() })
        break
      default:
        return send(response, 200, await resultOf(input))
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const event of events) response.write(`data: ${JSON.stringify(event)}\n\n`)
    response.end('data: [DONE]\n\n')
  }

  /** What the work comes to: `output` or `error`. */
  async function resultOf({
    do: deed,
    text = '',
    file = '',
  }: ConformanceInput): Promise<Record<string, unknown>> {
    if (deed === 'fail') return { error: `${text} (key ${conformanceSecret})` }
    if (deed === 'policy') return { error: { code: 'content_policy_violation', message: 'Not this' } }
    if (deed === 'file') return { output: [`${url}/files/${Buffer.from(text).toString('base64url')}`] }
    if (deed === 'take-file') return { output: String((await (await fetch(file)).arrayBuffer()).byteLength) }
    if (deed === 'hang') await released.promise
    return { output: deed === 'hang' ? 'DONE' : text.toUpperCase() }
  }

  async function work(job: FakeJob): Promise<void> {
    const { do: deed, text } = job.input
    if (deed === 'slow-start') await released.promise
    Object.assign(
      job,
      { state: 'running' },
      deed === 'progress' && { percent: 40 },
      deed === 'log' && { lines: [text] },
    )
    await told(job)
    const result = await resultOf(job.input)
    if (job.state === 'cancelled') return
    Object.assign(job, result, { state: 'error' in result ? 'broken' : 'ready' })
    await told(job)
  }

  async function told(job: FakeJob): Promise<void> {
    if (!job.callback) return
    await report(job.callback, job.input.do === 'garbage' ? 'rea' : seen(job)).catch(() => undefined)
  }

  async function tellOf(job: FakeJob | undefined, request: IncomingMessage, response: ServerResponse) {
    if (!job) return send(response, 404, { error: 'No such job' })
    if (request.method === 'DELETE') {
      job.state = 'cancelled'
      cancelled += 1
      return send(response, 200, {})
    }
    if (job.input.do === 'garbage')
      return void response.writeHead(200, { 'content-type': 'application/json' }).end('{"state": "rea')
    if (job.input.do === 'cut') return cut(response)
    return send(response, 200, seen(job))
  }

  return {
    description: describeSettings('/models/http.json', {
      namespace: 'conformance',
      type: 'text',
      concurrency: 4,
      input_schema: inputSchema,
      provider: {
        kind: 'http',
        url: `${url}/run`,
        headers: { authorization: `Bearer \${TOKEN}` },
        ...ways[way],
      },
    }),
    // An answer that comes at once has no queue before it; one that is asked for again and again is not streamed.
    cannot: way === 'sync' ? ['slow-start'] : ['stream'],
    keepsJobs: way !== 'sync',
    retryAfterSeconds: 7,
    callback: callback?.callback,
    created: () => created,
    cancelled: async () => cancelled,
    begun: () => [...jobs.values()].filter(({ state }) => state !== 'queued').length,
    release: () => released.resolve(),
    async close() {
      released.resolve()
      server.closeAllConnections()
      server.close()
      callback?.close()
    },
  }
}

function seen({ id, state, output, error, percent, lines }: FakeJob) {
  return { id, state, output, error, percent, lines }
}

function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

function cut(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' })
  response.write('{"output": "hal', () => response.destroy())
}

const refusals: Partial<Record<ConformanceInput['do'], Refusal>> = {
  'refuse-input': { status: 422, body: { detail: [{ loc: ['body', 'text'], msg: 'must be plainer' }] } },
  busy: { status: 429, body: { error: 'Later' }, headers: { 'retry-after': '7' } },
  down: { status: 503, body: { error: 'Away' } },
}

const inputSchema = {
  type: 'object',
  properties: { do: { type: 'string' }, text: { type: 'string' }, file: { type: 'string', format: 'uri' } },
}

const job = {
  status: '{{ body.state }}',
  succeeded: ['ready'],
  failed: ['broken'],
  output: '{{ body.output }}',
  error: '{{ body.error }}',
  progress: '{{ body.percent }}',
  logs: '{{ body.lines }}',
}

const poll = {
  ...job,
  url: '{{ job.links.self }}',
  every_seconds: 0.02,
  cancel: { url: '/jobs/{{ job.id }}', method: 'DELETE' },
}

/** The parts of a description that say how this host is driven. */
const ways = {
  sync: {
    response: {
      output: '{{ body.output }}',
      error: '{{ body.error }}',
      progress: '{{ body.percent }}',
      logs: '{{ body.said }}',
      stream: { delta: '{{ body.delta }}' },
    },
  },
  poll: { files: 'data', poll },
  callback: {
    request: {
      do: '{{ input.do }}',
      text: '{{ input.text }}',
      file: '{{ input.file }}',
      callback_url: '{{ callback.url }}',
    },
    poll,
    callback: job,
  },
}

interface FakeJob {
  id: string
  input: ConformanceInput
  state: 'queued' | 'running' | 'ready' | 'broken' | 'cancelled'
  callback: string | undefined
  output?: unknown
  error?: unknown
  percent?: number
  lines?: (string | undefined)[]
}

interface Refusal {
  status: number
  body: unknown
  headers?: Record<string, string>
}
