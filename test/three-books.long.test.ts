import { countText } from '@millrace/inference/count-tokens'
import { freePort } from '@millrace/standalone/ports'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type PlannedService, startPlanned } from './given-planned-calls.ts'
import type { Service } from './harness/service.ts'
import { until } from './harness/wait.ts'
import { type ChatQuestion, say } from './hosts/chat.ts'
import {
  type BookRow,
  callsOf,
  chunksAt,
  type PlannedCall,
  packetsOf,
  readBooks,
  textAt,
} from './three-books.ts'

const rows = await readBooks()

let planned: PlannedService
let service: Service
beforeAll(async () => {
  planned = await startPlanned({ calls: rows.flatMap(callsOf), script: obey, modelOf, described })
  service = planned.service
})
afterAll(() => planned.stop())

test('the table has a row for each way', () => {
  expect(rows.length).toBeGreaterThanOrEqual(19)
  for (const row of rows) expect(callsOf(row), `${row.asked}, ${row.after}`).not.toHaveLength(0)
})

const usual = rows.filter(({ by }) => by !== "the server's stop")
test.each(usual)(
  '$asked ended by $by after $after: client, log and host agree',
  { timeout: 60_000 },
  async (row) => {
    const books = await Promise.all(callsOf(row).map((call) => runCall(service.url, call)))
    for (const book of books) expect(await wordsOf(book, row), labelOf(book.call)).toEqual(row)
  },
)

test('what is not over when the server stops is told so, and client, log and host agree', {
  timeout: 120_000,
}, async () => {
  const port = await freePort()
  const other = await service.start('api', { PORT: String(port) })
  const stopped = rows.filter(({ by }) => by === "the server's stop")
  const asked = stopped.flatMap((row) => callsOf(row).map((call) => ({ row, call })))
  const answers = asked.map(async ({ row, call }) => ({
    row,
    book: await runCall(`http://127.0.0.1:${port}`, call),
  }))
  await until(() => asked.every(({ call }) => isAt(call)), { what: 'each call to be where it is to end' })

  expect(await other.stop()).toBe(0)

  for (const { row, book } of await Promise.all(answers))
    expect(await wordsOf(book, row), labelOf(book.call)).toEqual(row)
})

/** Asks, and does what ends the call where that is the client's part. */
async function runCall(url: string, call: PlannedCall): Promise<Book> {
  const abort = new AbortController()
  const client: ClientBook = { status: 0, body: '' }
  const answered = readAnswer(client, url, call, abort.signal)
  if (call.by === 'the client') {
    const chunks = call.stream ? chunksAt(call.place) : 0
    await until(() => isAt(call) && framesIn(client.body).length === chunks, {
      what: `${labelOf(call)} to be where it is to end`,
    })
    abort.abort()
  }
  await answered.catch((error: unknown) => {
    if (!abort.signal.aborted) throw error
  })
  return { call, client }
}

async function readAnswer(client: ClientBook, url: string, call: PlannedCall, signal: AbortSignal) {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    signal,
    headers: {
      'x-api-key': service.apiKey,
      'content-type': 'application/json',
      'x-request-id': modelOf(call),
    },
    body: JSON.stringify({
      model: modelOf(call),
      stream: call.stream,
      messages: [{ role: 'user', content: JSON.stringify(call) }],
    }),
  })
  client.status = response.status
  const text = new TextDecoder()
  for await (const bytes of response.body ?? []) client.body += text.decode(bytes, { stream: true })
}

/** What the three say, in the words of the table. */
async function wordsOf({ call, client }: Book, row: BookRow): Promise<BookRow> {
  const logged = await rowOf(modelOf(call))
  return {
    ...row,
    client: clientWords(call, client),
    status: logged.status,
    httpStatus: String(logged.http_status),
    errorId: logged.error_id ?? '',
    firstByte: logged.first_byte_ms === null ? 'no' : 'yes',
    tokens: await tokenWords(call, logged, row),
    host: await hostWords(call),
  }
}

function clientWords({ stream, place }: PlannedCall, { status, body }: ClientBook): string {
  if (status === 0) return 'nothing'
  if (status !== 200) return `HTTP ${JSON.parse(body).error.status}`
  if (!stream) return JSON.parse(body).choices[0].message.content === 'Hello mill' ? 'the answer' : body
  const frames = framesIn(body)
  const chunks = frames.filter((frame) => frame.includes('"choices"')).map((frame) => JSON.parse(frame))
  const text = chunks.map(({ choices }) => choices[0].delta.content ?? '').join('')
  if (chunks.length !== chunksAt(place) || text !== textAt(place)) return `other chunks: ${body}`
  const [end, ...more] = frames.slice(chunks.length)
  if (more.length > 0) return `more than an end: ${body}`
  if (end === undefined) return 'the chunks'
  return `the chunks, then ${end === '[DONE]' ? end : JSON.parse(end).error.error_id}`
}

async function tokenWords(call: PlannedCall, logged: LoggedRow, { tokens }: BookRow): Promise<string> {
  const { input_tokens: input, output_tokens: output, estimated } = logged
  if (input === null && output === null) return 'none'
  const said = call.stream ? textAt(call.place) : 'Hello mill'
  const counted = estimated && Number(input) > 0 && output === (await countText(said))
  const told = !estimated && input === 3 && output === 2
  const mayBeTold = call.usage && call.place >= (call.stream ? 5 : 3)
  if (tokens === "the host's, else counted" && (mayBeTold ? told : counted)) return tokens
  return counted ? 'counted' : `${input} and ${output} of the host`
}

async function hostWords(call: PlannedCall): Promise<string> {
  const entry = entryOf(call)
  if (entry.sent !== Math.min(call.place, packetsOf(call).length)) return `has sent ${entry.sent}`
  if (call.by === 'its end') return 'has said all'
  if (call.by === 'the host') return 'has cut'
  await until(() => entry.isClosed, { within: 1_000, what: `the host of ${labelOf(call)} to be let go` })
  return 'is let go'
}

/** Says as many packets as it is told to, and then nothing, unless it is the host that ends the call. */
async function obey({ body, socket, head: asked }: ChatQuestion): Promise<undefined> {
  const call: PlannedCall = JSON.parse(String((body.messages as { content: string }[])[0]?.content))
  const entry = entryOf(call)
  expect(asked).toContain(`x-request-id: ${modelOf(call)}`)
  socket.once('close', () => {
    entry.isClosed = true
  })
  for (const packet of packetsOf(call).slice(0, call.place)) {
    await say(socket, packet)
    entry.sent += 1
  }
  entry.isThere = true
  if (call.by === 'the host' || call.by === 'its end') socket.end()
}

const entries = new Map<string, HostEntry>()

function entryOf(call: PlannedCall): HostEntry {
  const entry = entries.get(modelOf(call)) ?? { sent: 0, isThere: false, isClosed: false }
  entries.set(modelOf(call), entry)
  return entry
}

function isAt(call: PlannedCall): boolean {
  return entryOf(call).isThere
}

function framesIn(body: string): string[] {
  return body.split('\n\n').flatMap((frame) => (frame.startsWith('data: ') ? [frame.slice(6)] : []))
}

function modelOf({ stream, by, place, usage }: PlannedCall): string {
  const words = `${stream ? 'stream' : 'json'} ${by} ${place} ${usage ? 'usage' : 'bare'}`
  return words.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
}

function labelOf(call: PlannedCall): string {
  return modelOf(call)
}

function described(call: PlannedCall, base: string): string {
  const timeouts = {
    'its first-byte time-out': '{firstByte: 1}',
    silence: '{idle: 1}',
    'its time limit': '{run: 1}',
  }[call.by]
  return [
    `namespace: ${modelOf(call)}`,
    'type: text',
    'apis: [chat]',
    'retries: 0',
    `timeouts: ${timeouts ?? '{}'}`,
    `provider: {kind: openai, base_url: '${base}', model: inner}`,
  ].join('\n')
}

/** The row of a call in the activity log, once it has ended. */
function rowOf(requestId: string): Promise<LoggedRow> {
  return until(
    async () => {
      const { rows: found } = await service.db.pool.query<LoggedRow>(
        `select * from requests where request_id = $1 and status <> 'running'`,
        [requestId],
      )
      return found[0]
    },
    { what: `the row of ${requestId}` },
  )
}

interface LoggedRow {
  status: string
  http_status: number
  error_id: string | null
  first_byte_ms: number | null
  input_tokens: number | null
  output_tokens: number | null
  estimated: boolean
}

interface HostEntry {
  sent: number
  isThere: boolean
  isClosed: boolean
}

interface ClientBook {
  status: number
  body: string
}

interface Book {
  call: PlannedCall
  client: ClientBook
}
