import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { describeSettings } from '@millrace/models/description'
import { createGuard } from '@millrace/outbound/guard'
import { openProvider, type ProviderOptions } from '@millrace/providers/open-provider'
import type { Job, Outcome, RunEvent, RunRequest } from '@millrace/providers/provider'
import { onTestFinished } from 'vitest'
import { temporaryFolder } from './run-model.ts'

/** A server that answers as it is told, and a record of what it was asked. */
export async function givenServer(
  answer: (asked: Asked, response: ServerResponse) => unknown,
): Promise<FakeServer> {
  const asked: Asked[] = []
  const server = createServer(async (request, response) => {
    const body = await text(request).catch(() => '')
    const { method = '', url = '', headers } = request
    const one = { method, path: url, headers, body: body === '' ? undefined : JSON.parse(body) }
    asked.push(one)
    const said = await answer(one, response)
    if (said !== undefined) response.setHeader('content-type', 'application/json').end(JSON.stringify(said))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${port}`, asked }
}

/** Runs a model of the kind `http` once. */
export async function runHttp(provider: object, input: object, how: HowToRun = {}): Promise<HttpRun> {
  const { traits, options, ...request } = how
  const description = describeSettings('/models/http.json', {
    namespace: 'http-model',
    type: 'text',
    input_schema: { type: 'object', properties: { image: { type: 'string', format: 'uri' } } },
    provider: { kind: 'http', ...provider },
    ...traits,
  })
  const opened = openProvider(description, { guard: createGuard({ allow: [], loopback: true }), ...options })
  const work = await temporaryFolder()
  onTestFinished(async () => {
    await opened.close()
    await work[Symbol.asyncDispose]()
  })
  const abort = new AbortController()
  const events: RunEvent[] = []
  const kept: Job[] = []
  const outcome = opened.run({
    id: 'a-prediction',
    attempt: 1,
    input: { ...input },
    workDir: work.path,
    signal: abort.signal,
    emit: (event) => events.push(event),
    async keep(job) {
      kept.push(job)
    },
    ...request,
  })
  return { outcome, events, kept, abort: (reason) => abort.abort(reason), close: () => opened.close() }
}

export interface Asked {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: unknown
}

export interface FakeServer {
  url: string
  asked: Asked[]
}

export interface HttpRun {
  outcome: Promise<Outcome>
  events: RunEvent[]
  kept: Job[]
  abort(reason: string): void
  close(): Promise<void>
}

interface HowToRun extends Partial<RunRequest> {
  /** Of the description. */
  traits?: object
  options?: ProviderOptions
}
