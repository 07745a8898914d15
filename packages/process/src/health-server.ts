import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Log } from './log.ts'
import { registry } from './metrics.ts'

/**
 * GET /livez, /readyz and /metrics on a port of their own. `ready` answers whether work would be served now; it is false
 * while draining, too, so that a balancer looks elsewhere before the process is gone.
 */
export async function serveHealth({
  port,
  host = '127.0.0.1',
  ready,
  log,
  metrics = () => registry.metrics(),
}: HealthOptions): Promise<HealthServer> {
  const server = createServer((request, response) => {
    void answer(request, ready, metrics).then(
      (reply) => send(response, reply),
      (error: unknown) => {
        log.warn({ err: error }, 'a health check failed')
        send(response, json(503, { ready: false }))
      },
    )
  })
  server.listen(port, host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function answer(
  request: IncomingMessage,
  ready: HealthOptions['ready'],
  metrics: () => Promise<string>,
): Promise<Reply> {
  const { pathname } = new URL(request.url ?? '/', 'http://health')
  switch (pathname) {
    case '/livez':
      return json(200, { live: true })
    case '/readyz': {
      const isReady = await ready()
      return json(isReady ? 200 : 503, { ready: isReady })
    }
    case '/metrics':
      return { status: 200, type: registry.contentType, body: await metrics() }
    default:
      return json(404, { error: 'not found; here are /livez, /readyz and /metrics' })
  }
}

function json(status: number, body: unknown): Reply {
  return { status, type: 'application/json', body: JSON.stringify(body) }
}

function send(response: ServerResponse, { status, type, body }: Reply): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body)
}

export interface HealthServer {
  port: number
  close(): Promise<void>
}

interface HealthOptions {
  port: number
  host?: string
  ready: () => boolean | Promise<boolean>
  log: Log
  /** Another text than this process's own metrics. */
  metrics?: () => Promise<string>
}

interface Reply {
  status: number
  type: string
  body: string
}
