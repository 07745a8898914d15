import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * The inside and the outside of a network on this machine alone: two real listeners on one port, at an address that
 * `allow` opens and at one that nothing opens. Whatever a test gets wrong, its packets stay here.
 */
export async function startOpenAndClosed(answer: RequestListener): Promise<OpenAndClosed> {
  const connections = { open: 0, closed: 0 }
  const open = createServer({ keepAliveTimeout: 60_000 }, answer).on('connection', () => {
    connections.open += 1
  })
  await listen(open, 0, openAddress)
  const { port } = open.address() as AddressInfo
  const closed = createServer(answer).on('connection', () => {
    connections.closed += 1
  })
  const closedAddress = await listenBeside(closed, port)
  return {
    port,
    openAddress,
    closedAddress,
    allow: [`${openAddress}/32`],
    connections,
    async close() {
      for (const server of [open, closed]) {
        server.closeAllConnections()
        server.close()
        await once(server, 'close')
      }
    },
  }
}

const openAddress = '127.0.0.1'

/** All of 127/8 is this machine on Linux; elsewhere, there is IPv6. */
async function listenBeside(server: Server, port: number): Promise<string> {
  const failures: unknown[] = []
  for (const address of ['127.0.0.2', '::1']) {
    try {
      await listen(server, port, address)
      return address
    } catch (error) {
      failures.push(error)
    }
  }
  throw new AggregateError(failures, 'There is no second loopback address to listen at')
}

async function listen(server: Server, port: number, address: string): Promise<void> {
  server.listen(port, address)
  await once(server, 'listening')
}

export interface OpenAndClosed {
  port: number
  openAddress: string
  closedAddress: string
  /** For a guard: opens `openAddress` and nothing else. */
  allow: string[]
  /** How many connections each has seen. */
  connections: { open: number; closed: number }
  close(): Promise<void>
}
