import { connect } from 'node:net'
import { answerReader } from './answer-reader.ts'
import { now, stampReader } from './clock.ts'
import { type Kind, words } from './conversation.ts'

/**
 * A connection that is kept, on which one request after the other is sent. Its own few lines on a socket, since a whole
 * HTTP client would take more of the machine than some of what is measured. An answer that is refused, cut, short or
 * older than its request throws.
 */
export async function openConnection({ url, headers, body }: Target, kind: Kind): Promise<Connection> {
  const { hostname, host, port, pathname } = new URL(url)
  const lines = Object.entries({ host, ...headers, 'content-length': `${Buffer.byteLength(body)}` })
  const head = `POST ${pathname} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
  const request = Buffer.from(head + body)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  socket.setEncoding('latin1')
  let hear: ((piece: string) => void) | undefined
  let fail: (error: Error) => void = () => {}
  socket.on('data', (piece: string) => hear?.(piece))
  socket.on('error', (error) => fail(error))
  socket.setTimeout(patienceMs, () => fail(new Error(`${url} said nothing for ${patienceMs / 1000} s`)))
  socket.on('close', () => fail(new Error(`${url} closed the connection`)))
  await new Promise<void>((resolve, reject) => {
    fail = reject
    socket.once('connect', resolve)
  })

  return {
    exchange: () =>
      new Promise((resolve, reject) => {
        fail = reject
        const read = exchangeReader(url, kind)
        hear = (piece) => {
          try {
            const exchange = read(piece)
            if (exchange) resolve(exchange)
          } catch (error) {
            reject(error)
          }
        }
        socket.write(request)
      }),
  }
}

/** For one request, which is sent now. Answers what came of it once its answer is whole; throws when that is wrong. */
function exchangeReader(url: string, kind: Kind): (piece: string) => Exchange | undefined {
  const sent = now()
  const exchange: Exchange = { took: 0, first: 0, chunks: [] }
  const stamps = stampReader()
  let count = 0
  let beginning = ''
  let end = ''
  const reader = answerReader((text) => {
    if (beginning.length < 1_000) beginning += text
    end = (end + text).slice(-20)
    const moments = stamps.read(text)
    if (moments.length === 0) return
    const at = now()
    if (count === 0) exchange.first = at - sent
    if ((moments[0] ?? 0) < sent - clockError) throw new Error(`${url} gave an answer of earlier`)
    count += moments.length
    if (kind === 'paced') for (const moment of moments) exchange.chunks.push(at - moment)
  })
  return (piece) => {
    if (!reader.read(piece)) return
    exchange.took = now() - sent
    const isWhole = kind === 'json' ? count === 1 : count === words && end.includes('[DONE]')
    if (reader.status() === 200 && isWhole) return exchange
    throw new Error(`${url} answered ${reader.status()} with ${count} stamps: ${beginning}`)
  }
}

/** Two processes read the clock to the microsecond. */
const clockError = 0.01

const patienceMs = 30_000

/** Where requests go, and what they are. */
export interface Target {
  url: string
  headers: Record<string, string>
  body: string
}

/** A connection at work. */
export interface Connection {
  exchange(): Promise<Exchange>
}

/** Milliseconds from the request to the end of the answer and to its first text; from each chunk's leaving to its arrival. */
export interface Exchange {
  took: number
  first: number
  chunks: number[]
}
