import { createSocket } from 'node:dgram'
import { once } from 'node:events'

/**
 * A name server on loopback that knows names by their beginning: `never-…` gets no answer, `broken-…` a failure, `none-…`
 * the word that there is no such name (so does `localhost`), `inside-…` a private address; all others are 127.0.0.1.
 */
export async function startNameServer(): Promise<NameServer> {
  const asked: string[] = []
  const socket = createSocket('udp4', (query, { port, address }) => {
    const { name, type, end } = readQuestion(query)
    asked.push(name)
    if (name.startsWith('never-')) return
    const code = name.startsWith('broken-') ? serverFailure : /^none-|^localhost$/.test(name) ? noSuchName : 0
    const found =
      code === 0 && type === ipv4 ? (name.startsWith('inside-') ? '10.0.0.1' : '127.0.0.1') : undefined
    socket.send(answerTo(query.subarray(0, end), code, found), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    servers: [`127.0.0.1:${socket.address().port}`],
    asked,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  }
}

const ipv4 = 1
const serverFailure = 2
const noSuchName = 3

function readQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = query[at]; length; length = query[at]) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.'), type: query.readUInt16BE(at + 1), end: at + 5 }
}

function answerTo(question: Buffer, code: number, address: string | undefined): Buffer {
  const answer = Buffer.from(question)
  answer.writeUInt16BE(0x8180 | code, 2)
  answer.writeUInt16BE(address ? 1 : 0, 6)
  answer.fill(0, 8, 12)
  if (!address) return answer
  const record = [0xc0, 12, 0, ipv4, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)]
  return Buffer.concat([answer, Buffer.from(record)])
}

export interface NameServer {
  /** For a look-up. */
  servers: string[]
  /** Each question, in order. */
  asked: string[]
  close(): Promise<void>
}
