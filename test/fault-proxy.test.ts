import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type FaultProxy, startProxy } from './faults/tcp-proxy.ts'
import { until } from './harness/wait.ts'

let store: Store
let proxy: FaultProxy
const lines: Line[] = []
beforeEach(async () => {
  store = await startStore()
  proxy = await startProxy({ host: '127.0.0.1', port: store.port })
})
afterEach(async () => {
  for (const line of lines.splice(0)) line.hangUp()
  await proxy.close()
  await store.close()
})

test('without a fault everything passes in order, both ways', async () => {
  const line = await openLine()
  const text = Array.from({ length: 200_000 }, (_, nth) => `${nth};`).join('')
  line.send(text)
  await line.hears(text)
  expect(store.received()).toBe(text)
})

test('refused: a new connection is reset, an open one goes on', async () => {
  const open = await openLine()
  await open.roundTrip('before')
  proxy.set('refused')
  const refused = await openLine()

  expect(await refused.end()).toBe('ECONNRESET')
  await open.roundTrip('after')
})

test('black hole: nothing arrives and nothing breaks, and all passes in order once it is over', async () => {
  const line = await openLine()
  await line.roundTrip('before')
  proxy.set('black-hole')
  const late = await openLine()
  line.send('one ')
  line.send('two')
  late.send('three')
  await store.answersElsewhere()

  expect([store.received(), line.isOpen(), late.isOpen()]).toEqual(['before', true, true])
  proxy.set('none')
  await Promise.all([line.hears('beforeone two'), late.hears('three')])
})

test.each(['LISTEN', 'listen'])('deaf: whoever sent %s hears nothing, the others do', async (listen) => {
  const listener = await openLine()
  await listener.roundTrip(`${listen} bells`)
  proxy.set('deaf')
  const other = await openLine()
  listener.send('still there?')
  await other.roundTrip('hello')
  await store.answersElsewhere()

  expect([listener.heard(), listener.isOpen()]).toEqual([`${listen} bells`, true])
})

test('delay: all arrives, each way so much later', async () => {
  const line = await openLine()
  proxy.set({ delayMs: 150 })
  const begun = performance.now()
  await line.roundTrip('hello')

  expect(performance.now() - begun).toBeGreaterThanOrEqual(295)
})

test('drip: so many bytes a second, however they were sent', async () => {
  const line = await openLine()
  proxy.set({ dripBytes: 4 })
  const begun = performance.now()
  for (const part of ['ab', 'cd', 'efghijkl']) {
    line.send(part)
    await store.answersElsewhere()
  }
  await until(() => store.received() === 'abcdefghijkl', { what: 'all to arrive' })

  expect(performance.now() - begun).toBeGreaterThanOrEqual(2_900)
  expect(Math.max(...store.pieces().map((piece) => piece.length))).toBeLessThanOrEqual(4)
})

test('close: both ends see an orderly end, and the next connection passes', async () => {
  const line = await openLine()
  await line.roundTrip('hello')

  expect(proxy.cut('close')).toBe(1)
  expect([await line.end(), await store.firstEnd()]).toEqual(['closed', 'closed'])
  await (await openLine()).roundTrip('again')
})

test('reset: both ends see a reset, and the next connection passes', async () => {
  const line = await openLine()
  await line.roundTrip('hello')

  expect(proxy.cut('reset')).toBe(1)
  expect([await line.end(), await store.firstEnd()]).toEqual(['ECONNRESET', 'ECONNRESET'])
  await (await openLine()).roundTrip('again')
})

test('half-open: the store is gone, nobody tells the client, and what it sends goes nowhere', async () => {
  const line = await openLine()
  await line.roundTrip('hello')
  proxy.cut('half-open')
  expect(await store.firstEnd()).toBe('closed')
  line.send('anybody?')
  await (await openLine()).roundTrip('again')

  expect([store.received(), line.heard(), line.isOpen()]).toEqual(['helloagain', 'hello', true])
})

test('a lost answer: the message is carried out, the connection reset, so often as was asked', async () => {
  let told = 0
  const lost = proxy.loseAnswers({ marks: ['commit'], every: 2, times: 1, onLost: () => told++ })
  const line = await openLine()
  await line.roundTrip('begin')
  await line.roundTrip('commit 1')
  line.send('commit 2')

  expect(await line.end()).toBe('ECONNRESET')
  expect([store.received(), line.heard()]).toEqual(['begincommit 1commit 2', 'begincommit 1'])
  const next = await openLine()
  for (const message of ['commit 3', 'commit 4']) await next.roundTrip(message)
  expect([lost(), told]).toEqual([1, 1])
})

test('before a message: what is wanted is done once, and the message has not arrived yet', async () => {
  const arrived: string[] = []
  proxy.before(
    (bytes) => bytes.includes('settle'),
    () => {
      arrived.push(store.received())
      proxy.set('black-hole')
    },
  )
  const line = await openLine()
  await line.roundTrip('begin')
  line.send('settle')
  await until(() => arrived.length > 0, { what: 'the message to be seen' })
  await store.answersElsewhere()

  expect([arrived, store.received()]).toEqual([['begin'], 'begin'])
  proxy.set('none')
  await line.hears('beginsettle')
  await line.roundTrip('settle')
  expect(arrived).toEqual(['begin'])
})

test('it counts its open connections', async () => {
  const [first] = await Promise.all([openLine(), openLine()])
  await until(() => proxy.connections() === 2, { what: 'two connections' })
  first.hangUp()
  await until(() => proxy.connections() === 1, { what: 'one connection' })
})

/** A server that sends everything back. */
async function startStore(): Promise<Store> {
  const pieces: string[] = []
  const sockets: Socket[] = []
  const ends: string[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.setEncoding('latin1').on('data', (text: string) => {
      if (text !== elsewhere) pieces.push(text)
      socket.write(text)
    })
    noteEnd(socket, (how) => ends.push(how))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    pieces: () => pieces,
    received: () => pieces.join(''),
    firstEnd: () => until(() => ends[0], { what: 'the store to see an end' }),
    async answersElsewhere() {
      for (let turn = 0; turn < 5; turn++) {
        const socket = connect(port, '127.0.0.1')
        socket.write(elsewhere)
        await once(socket, 'data')
        socket.destroy()
      }
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function openLine(): Promise<Line> {
  const socket = connect(proxy.port, '127.0.0.1')
  let heard = ''
  let end: string | undefined
  socket.setEncoding('latin1').on('data', (text: string) => {
    heard += text
  })
  noteEnd(socket, (how) => {
    end = how
  })
  await once(socket, 'connect').catch(() => {}) // refused; `end` tells
  const line: Line = {
    send: (text) => void socket.write(text),
    heard: () => heard,
    hears: async (text) => void (await until(() => heard === text, { what: 'the whole answer' })),
    async roundTrip(text) {
      const wanted = heard + text
      socket.write(text)
      await line.hears(wanted)
    },
    isOpen: () => end === undefined,
    end: () => until(() => end, { what: 'the client to see an end' }),
    hangUp: () => void socket.destroy(),
  }
  lines.push(line)
  return line
}

function noteEnd(socket: Socket, note: (how: string) => void): void {
  let code: string | undefined
  socket.on('error', (error) => {
    code = 'code' in error ? String(error.code) : error.message
  })
  socket.on('close', () => note(code ?? 'closed'))
}

const elsewhere = 'past the proxy'

interface Store {
  port: number
  /** What came through the proxy: as it came, and as one text. */
  pieces(): string[]
  received(): string
  /** How the first connection that ended did so. */
  firstEnd(): Promise<string>
  /** Several round trips past the proxy: by their end, what passed the proxy before has arrived. */
  answersElsewhere(): Promise<void>
  close(): Promise<void>
}

interface Line {
  send(text: string): void
  heard(): string
  hears(text: string): Promise<void>
  roundTrip(text: string): Promise<void>
  isOpen(): boolean
  /** How it ended: `closed`, or the error's code. */
  end(): Promise<string>
  hangUp(): void
}
