import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A receiver on loopback that reads what comes, answers 200 and counts. `hear` gets each body and when it was whole. */
export async function startReceiver(hear?: (body: string, at: number) => void): Promise<Receiver> {
  let received = 0
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => hear && chunks.push(chunk))
    request.on('end', () => {
      hear?.(Buffer.concat(chunks).toString(), Date.now())
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
