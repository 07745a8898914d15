import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** A host that is a bare socket: what it says to the first bytes of each connection is said as it stands. */
export async function givenRawHost(
  answer: (socket: Socket, connection: number, first: string) => void,
): Promise<RawHost> {
  const sockets = new Set<Socket>()
  let asked = 0
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    socket.once('data', (bytes) => {
      asked += 1
      answer(socket, asked, bytes.toString())
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('The host has no port')
  return { url: `http://127.0.0.1:${address.port}`, asked: () => asked, open: () => sockets.size }
}

/** A whole answer of HTTP/1.1. */
export function answer(status: number, headers: Record<string, string>, body: string | Buffer): Buffer {
  const bytes = Buffer.from(body)
  const all = { 'content-length': String(bytes.length), connection: 'close', ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status} Said\r\n${lines.join('')}\r\n`), bytes])
}

/** An answer of JSON. */
export function jsonAnswer(status: number, body: unknown, headers: Record<string, string> = {}): Buffer {
  return answer(status, { 'content-type': 'application/json', ...headers }, JSON.stringify(body))
}

export interface RawHost {
  url: string
  /** Connections on which something was asked. */
  asked(): number
  /** Connections that are open. */
  open(): number
}
