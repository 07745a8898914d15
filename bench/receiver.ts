import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A receiver on loopback that reads what comes, answers 200 and counts. */
export async function startReceiver(): Promise<Receiver> {
  let received = 0
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      received++
      response.end()
    })
  })
  server.keepAliveTimeout = 60_000
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    received: () => received,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

export interface Receiver {
  url: string
  received(): number
  close(): void
}
