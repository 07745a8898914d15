import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'

/** A server that answers every POST with these events, as named events with JSON. Closes with the test. */
export async function givenEventHost(
  eventsFor: (body: Record<string, unknown>) => AsyncIterable<{ type: string }>,
): Promise<string> {
  const server = createServer(async (request, response) => {
    const body = JSON.parse(await text(request))
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for await (const event of eventsFor(body)) {
      response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    }
    response.end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
