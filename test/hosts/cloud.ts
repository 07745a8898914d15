import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/** An HTTP server on loopback that notes what it is asked. `answer` throws a Refusal to refuse. */
export async function startCloud(
  answer: (asked: Asked, response: ServerResponse) => unknown,
  { port: wanted = 0 } = {},
): Promise<Cloud> {
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    void read(request).then(async (question) => {
      asked.push(question)
      try {
        await answer(question, response)
      } catch (error) {
        const { status, body, headers } =
          error instanceof Refusal ? error : new Refusal(500, { detail: String(error) })
        sendJson(response, status, body, headers)
      }
    })
  })
  server.listen(wanted, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    asked,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function read(request: IncomingMessage): Promise<Asked> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://host.invalid')
  const body = await buffer(request).catch(() => Buffer.alloc(0))
  return { method: request.method ?? '', path: pathname, query: searchParams, headers: request.headers, body }
}

/** Answers JSON. */
export function sendJson(response: ServerResponse, status: number, body: unknown, headers = {}): void {
  if (response.headersSent) response.end()
  else
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

/** The JSON of a question. Throws where it is none. */
export function jsonOf({ body }: Asked): Record<string, unknown> {
  return JSON.parse(body.toString('utf8'))
}

/** An answer that is an error. */
export class Refusal extends Error {
  readonly status: number
  readonly body: unknown
  readonly headers: Record<string, string>

  constructor(status: number, body: unknown, headers: Record<string, string> = {}) {
    super(`HTTP ${status}`)
    this.status = status
    this.body = body
    this.headers = headers
  }
}

export interface Asked {
  method: string
  path: string
  query: URLSearchParams
  headers: IncomingMessage['headers']
  body: Buffer
}

export interface Cloud {
  origin: string
  asked: Asked[]
  close(): Promise<void>
}
