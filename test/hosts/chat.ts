import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** A chat host until the test ends. */
export async function givenChatHost(script: ChatScript, options: { port?: number } = {}): Promise<ChatHost> {
  const host = await startChatHost(script, options)
  onTestFinished(host.stop)
  return host
}

/** A chat host that is a bare server of TCP: a script says each answer to the byte, in the packets it names. */
export async function startChatHost(
  script: ChatScript,
  { port = 0, address = '127.0.0.1' } = {},
): Promise<ChatHost & { stop(): void }> {
  const sockets = new Set<Socket>()
  const asked: ChatQuestion[] = []
  let current = script
  let connections = 0
  const server = createServer({ noDelay: true }, (socket) => {
    connections += 1
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    void serve(socket, (question) => {
      asked.push(question)
      return current
    })
  })
  server.listen(port, address)
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    asked,
    answerWith(next) {
      current = next
    },
    open: () => sockets.size,
    connections: () => connections,
    stop() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

/** Takes one request after the other from a connection, and lets the script answer. */
async function serve(socket: Socket, scriptFor: (question: ChatQuestion) => ChatScript): Promise<void> {
  let gathered = Buffer.alloc(0)
  try {
    for await (const bytes of socket as AsyncIterable<Buffer>) {
      gathered = Buffer.concat([gathered, bytes])
      const end = gathered.indexOf('\r\n\r\n')
      if (end === -1) continue
      const head = gathered.subarray(0, end).toString('latin1')
      const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0)
      if (gathered.length < end + 4 + length) continue
      const body: unknown = JSON.parse(gathered.subarray(end + 4, end + 4 + length).toString('utf8'))
      gathered = gathered.subarray(end + 4 + length)
      const question = { head, path: head.split(' ')[1] ?? '', body: body as ChatQuestion['body'], socket }
      await perform(scriptFor(question), question)
    }
  } catch {
    // The other side closed it.
  }
}

async function perform(script: ChatScript, question: ChatQuestion): Promise<void> {
  const packets = typeof script === 'function' ? await script(question) : script
  for (const packet of packets ?? []) {
    if (packet === close) question.socket.end()
    else if (packet === reset) question.socket.resetAndDestroy()
    else await say(question.socket, packet)
  }
}

/** Sends a packet of its own, and waits until it has left. */
export function say(socket: Socket, bytes: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(bytes, (error) => (error ? reject(error) : setImmediate(resolve)))
  })
}

/** The head of an answer; without a length it ends with the connection. */
export function head(status: number, headers: Record<string, string> = {}): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} Said\r\n${lines.join('')}\r\n`
}

/** An answer whose length is stated, after which the connection stays. */
export function whole(status: number, body: unknown, headers: Record<string, string> = {}): Packet[] {
  const bytes =
    body instanceof Uint8Array ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  const all = { 'content-type': 'application/json', 'content-length': String(bytes.length), ...headers }
  return [head(status, all), bytes]
}

/** An event stream in these packets, to the end of the connection. */
export function stream(...packets: Packet[]): Packet[] {
  return [head(200, { 'content-type': 'text/event-stream', connection: 'close' }), ...packets, close]
}

/** The same in HTTP's chunks, after which the connection stays. */
export function chunked(...packets: (string | Uint8Array)[]): Packet[] {
  const parts = packets.map((packet) => {
    const bytes = Buffer.from(packet)
    return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])
  })
  const headers = { 'content-type': 'text/event-stream', 'transfer-encoding': 'chunked' }
  return [head(200, headers), ...parts, '0\r\n\r\n']
}

/** One event of a stream. */
export function event(data: unknown): string {
  return `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`
}

/** A chunk that adds this to the first answer. */
export function chunk(delta: unknown, finish_reason: unknown = null, more: object = {}) {
  return {
    id: 'chatcmpl-7',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'inner-model',
    choices: [{ index: 0, delta, finish_reason }],
    ...more,
  }
}

/** A completion with these words. */
export function completion(content: unknown, more: object = {}) {
  return {
    id: 'chatcmpl-7',
    object: 'chat.completion',
    created: 1_700_000_000,
    model: 'inner-model',
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
    ...more,
  }
}

/** `Hello mill` in a stream of good manners. */
export const hello = [
  event(chunk({ role: 'assistant', content: '' })),
  event(chunk({ content: 'Hello' })),
  event(chunk({ content: ' mill' })),
  event(chunk({}, 'stop')),
  event(chunk({}, null, { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } })),
  'data: [DONE]\n\n',
] as const

export const close = Symbol('close')
export const reset = Symbol('reset')

export type Packet = string | Uint8Array | typeof close | typeof reset
export type ChatScript =
  | readonly Packet[]
  | ((question: ChatQuestion) => Promise<readonly Packet[] | undefined> | readonly Packet[] | undefined)

export interface ChatQuestion {
  /** The request line and the headers, as they came. */
  head: string
  path: string
  body: { model: string; stream?: boolean; [more: string]: unknown }
  socket: Socket
}

export interface ChatHost {
  /** Its base URL. */
  url: string
  asked: ChatQuestion[]
  answerWith(script: ChatScript): void
  /** Connections that are open. */
  open(): number
  /** Connections that were made. */
  connections(): number
}
