import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { Callback } from '@millrace/providers/provider'

/** An address that hosts can report to, as an installation would give it to one attempt. */
export async function openCallbacks(): Promise<Callbacks> {
  const hearers = new Set<(body: unknown) => void>()
  const posts: Post[] = []
  const server = createServer(async (request, response) => {
    const said = await text(request).catch(() => undefined)
    if (said === undefined) return
    const body: unknown = JSON.parse(said)
    posts.push({ body, headers: request.headers })
    for (const hear of hearers) hear(body)
    response.writeHead(200).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/callbacks/secret`,
    posts,
    listen(hear) {
      hearers.add(hear)
      return () => hearers.delete(hear)
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** An address where nobody is. */
export async function unreachableCallback(): Promise<Callback> {
  await using closed = await openCallbacks()
  return { url: closed.url, listen: () => () => undefined }
}

/** A callback, and what was posted to it. */
export interface Callbacks extends Callback, AsyncDisposable {
  posts: Post[]
}

interface Post {
  body: unknown
  headers: IncomingHttpHeaders
}
