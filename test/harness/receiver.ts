import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { until } from './wait.ts'

/** A webhook receiver on loopback that records what it gets. It answers 200 until told otherwise. */
export async function startReceiver(answer: Answer | AnswerFor = {}): Promise<Receiver> {
  const requests: ReceivedRequest[] = []
  let answerFor = asFunction(answer)

  const server = createServer((request, response) => {
    void receive(request).then(async (received) => {
      requests.push(received)
      await reply(response, answerFor(received, requests.length - 1))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    requests,
    answerWith(next) {
      answerFor = asFunction(next)
    },
    received: (count, within = 10_000) =>
      until(() => requests.length >= count && requests, {
        within,
        what: `${count} webhooks`,
      }),
    cut: () => server.closeAllConnections(),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function receive(request: IncomingMessage): Promise<ReceivedRequest> {
  const body = await buffer(request)
  return {
    method: request.method ?? '',
    path: request.url ?? '',
    headers: request.headers,
    body: body.toString('utf8'),
    at: performance.now(),
  }
}

async function reply(
  response: ServerResponse,
  { status = 200, headers = {}, body = '', afterMs = 0, after, cut, hang }: Answer,
) {
  if (afterMs > 0) await delay(afterMs)
  if (hang) return
  await after
  if (cut) response.destroy()
  else if (typeof body === 'string') response.writeHead(status, headers).end(body)
  else await pipeline(Readable.from(body), response.writeHead(status, headers)).catch(() => {})
}

function asFunction(answer: Answer | AnswerFor): AnswerFor {
  return typeof answer === 'function' ? answer : () => answer
}

export interface Receiver {
  url: string
  requests: ReceivedRequest[]
  answerWith(next: Answer | AnswerFor): void
  /** Waits until at least `count` requests have come, and returns all. */
  received(count: number, within?: number): Promise<ReceivedRequest[]>
  /** Cuts every connection, also of those that wait for an answer. */
  cut(): void
  close(): Promise<void>
}

export interface ReceivedRequest {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: string
  /** On performance.now()'s clock. */
  at: number
}

export interface Answer {
  status?: number
  headers?: Record<string, string>
  /** A text, or parts that are sent as fast as they are taken. */
  body?: string | Iterable<Buffer>
  /** Answers late by so many milliseconds. */
  afterMs?: number
  /** Answers once this has come about. */
  after?: Promise<unknown>
  /** Cuts the connection instead of answering. */
  cut?: boolean
  /** Keeps the connection and says nothing. */
  hang?: boolean
}

type AnswerFor = (request: ReceivedRequest, index: number) => Answer
