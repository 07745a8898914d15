import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
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

/** A loopback port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

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
