import { readFile } from 'node:fs/promises'
import { completion, head, hello } from './hosts/chat.ts'

/** The rows of the table of docs/inference.md that says how calls end. */
export async function readBooks(): Promise<BookRow[]> {
  const page = await readFile(new URL('../docs/inference.md', import.meta.url), 'utf8')
  const table = /<!-- three books -->\n(.*?)<!-- \/three books -->/s.exec(page)?.[1] ?? ''
  const [, , ...rows] = table.trim().split('\n')
  return rows.map((line) => {
    const [asked = '', by = '', after = '', ...rest] = line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim().replaceAll('`', ''))
    const [client = '', status = '', httpStatus = '', errorId = '', firstByte = '', tokens = '', host = ''] =
      rest
    return { asked, by, after, client, status, httpStatus, errorId, firstByte, tokens, host }
  })
}

/** The calls that show a row to be so: one for each place where it may be cut, with and without usage. */
export function callsOf({ asked, by, after }: BookRow): PlannedCall[] {
  const places = placesOf[`${asked}, ${after}`] ?? []
  return [true, false].flatMap((usage) =>
    places.map((place) => ({ stream: asked === 'a stream', by, place, usage })),
  )
}

/** The packets of an answer, in the order in which the host says them. */
export function packetsOf({ stream, usage }: Pick<PlannedCall, 'stream' | 'usage'>): string[] {
  if (stream) {
    const [first = '', ...others] = hello.map((packet, index) =>
      usage || index !== usageAt ? packet : ': not counted\n\n',
    )
    return [head(200, { 'content-type': 'text/event-stream' }) + first, ...others]
  }
  const body = JSON.stringify(completion('Hello mill', usage ? {} : { usage: undefined }))
  const headers = { 'content-type': 'application/json', 'content-length': String(body.length) }
  return [head(200, headers), body.slice(0, 50), body.slice(50)]
}

/** How many chunks a client sees of the first so many packets of a stream: none of usage, for which it did not ask. */
export function chunksAt(place: number): number {
  return Math.min(place, shownChunks)
}

/** The text of the first so many chunks. */
export function textAt(place: number): string {
  return ['', '', 'Hello', 'Hello mill'][Math.min(place, 3)] ?? ''
}

const shownChunks = 4
const usageAt = 4

/** The packets after which something happens: of a stream six, of an answer three. */
const placesOf: Record<string, number[]> = {
  'JSON, all of it': [3],
  'JSON, any part': [0, 1, 2],
  'a stream, all of it': [6],
  'a stream, nothing': [0],
  'a stream, some chunks': [1, 2, 3],
  'a stream, the last chunk': [4, 5],
}

/** A row of the table, in its words. */
export interface BookRow {
  asked: string
  by: string
  after: string
  client: string
  status: string
  httpStatus: string
  errorId: string
  firstByte: string
  tokens: string
  host: string
}

export interface PlannedCall {
  stream: boolean
  by: string
  /** How many packets the host says before it happens. */
  place: number
  usage: boolean
}
