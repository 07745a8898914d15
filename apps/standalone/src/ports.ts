import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { StartProblem } from './start-problem.ts'

/** Throws a clear message unless `port` can be listened on. With `patience` a port that is still being let go is waited for. */
export async function assertPortFree(name: string, host: string, port: number, patience = 0): Promise<void> {
  const deadline = performance.now() + patience
  for (;;) {
    const code = await tryListening(host, port)
    if (code === undefined) return
    if (code !== 'EADDRINUSE' || performance.now() > deadline) throw portProblem(name, host, port, code)
    await delay(200)
  }
}

/**
 * A loopback port that was free a moment ago, and that no other caller on this machine is given for half a minute, in
 * which its process begins to listen. No system takes these for outgoing connections by itself, so it stays free while
 * its process is started anew.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 1_000; tries++) {
    const port = randomInt(20_000, 32_000)
    if ((await reserve(port)) && (await tryListening('127.0.0.1', port)) === undefined) return port
  }
  throw new Error('No port between 20000 and 32000 is free')
}

/** Whoever holds the UDP port of the same number, which nobody needs, has been given the port. */
async function reserve(port: number): Promise<boolean> {
  const socket = createSocket('udp4').unref()
  const isOurs = await new Promise<boolean>((resolve) => {
    socket.once('listening', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.bind({ address: '127.0.0.1', port, exclusive: true })
  })
  if (isOurs) setTimeout(() => socket.close(), reservedMs).unref()
  else socket.close()
  return isOurs
}

const reservedMs = 30_000

async function tryListening(host: string, port: number): Promise<string | undefined> {
  const server = createServer()
  const outcome = new Promise<string | undefined>((resolve) => {
    server.once('listening', () => resolve(undefined))
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  })
  server.listen({ host, port, exclusive: true })
  const code = await outcome
  await new Promise((resolve) => server.close(resolve))
  return code
}

function portProblem(name: string, host: string, port: number, code: string): StartProblem {
  switch (code) {
    case 'EADDRINUSE':
      return new StartProblem(
        `${name} ${port} on ${host} is taken by another program.`,
        `Stop that program, or choose another port: ${name}=${port === 65_535 ? port - 1 : port + 1} npm start`,
      )
    case 'EACCES':
      return new StartProblem(
        `${name} ${port} may not be opened by this user.`,
        `Ports under 1024 need privileges. Choose a higher one: ${name}=3000 npm start`,
      )
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new StartProblem(
        `HOST ${host} is not an address of this machine.`,
        'Use 127.0.0.1, or 0.0.0.0 for all.',
      )
    default:
      return new StartProblem(
        `${name} ${port} on ${host} cannot be opened (${code}).`,
        `Choose another: ${name}=3001 npm start`,
      )
  }
}
