import { once } from 'node:events'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Callback } from '@millrace/providers/provider'

/** An address where a host may report, as the api has one for each attempt: what is posted comes out here. */
export async function openCallback(): Promise<{ callback: Callback; close(): void }> {
  const listeners = new Set<(body: unknown) => void>()
  const server = createServer(async (request, response) => {
    const body = parsed(await text(request))
    for (const hear of listeners) hear(body)
    response.end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  return {
    callback: {
      url: `http://127.0.0.1:${port}/callbacks/one`,
      listen(hear) {
        listeners.add(hear)
        return () => listeners.delete(hear)
      },
    },
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** What a host posts to where it may report. */
export async function report(url: string, body: unknown): Promise<void> {
  await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return body
  }
}
