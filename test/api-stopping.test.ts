import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { closeGently } from '@millrace/api/close-gently'
import { expect, test } from 'vitest'
import { callerOf } from './api-caller.ts'
import { startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

test('a request that is on its way over a kept connection when the server stops is answered', async () => {
  const server = await startServer()
  const port = portOf(server)
  const line = await openLine(port)
  line.ask()
  await line.answered(1)

  const closed = closeGently(server, { onTheWayMs: 60_000 })
  await until(() => refuses(port), { what: 'new connections to be refused' })
  line.ask()

  await line.answered(2)
  line.close()
  await closed
})

test('a stopping server does not wait for connections that are only kept', async () => {
  const server = await startServer()
  const line = await openLine(portOf(server))
  line.ask()
  await line.answered(1)

  await closeGently(server, { onTheWayMs: 50 })

  await until(() => line.isOver(), { what: 'the connection to be closed' })
})

test('an api that stops tells the clients it still answers to connect elsewhere', async () => {
  const service = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  const call = callerOf(service.url, service.apiKey)
  const held = call('POST /v1/predictions', { body: { model: 'echo', input: {}, await: true } })
  await until(async () => (await service.db.pool.query('select from runs')).rowCount === 1, {
    what: 'the create to be accepted',
  })

  const [answer, code] = await Promise.all([held, service.processes[0]?.stop()])

  expect([answer.status, answer.headers.get('connection'), code]).toEqual([201, 'close', 0])
  await service.stop()
})

async function startServer(): Promise<Server> {
  const server = createServer((_request, response) => response.end('here'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

/** A connection that is kept, as a client's pool keeps it. */
async function openLine(port: number): Promise<Line> {
  const socket: Socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  let heard = ''
  let broken: Error | undefined
  socket.setEncoding('latin1').on('data', (text: string) => {
    heard += text
  })
  socket.on('error', (error) => {
    broken = error
  })
  return {
    ask: () => void socket.write('GET / HTTP/1.1\r\nhost: here\r\n\r\n'),
    async answered(count) {
      const answers = () => heard.split('HTTP/1.1 200 OK').length - 1
      await until(() => answers() === count || socket.closed, { what: `answer ${count}` })
      if (answers() < count) throw new Error(`The connection ended before answer ${count}`, { cause: broken })
    },
    isOver: () => socket.closed,
    close: () => void socket.destroy(),
  }
}

async function refuses(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return false
  } catch {
    return true
  } finally {
    socket.destroy()
  }
}

interface Line {
  ask(): void
  /** Waits for so many answers in all. Rejects when the connection ends before. */
  answered(count: number): Promise<void>
  isOver(): boolean
  close(): void
}
