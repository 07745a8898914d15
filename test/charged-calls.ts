import { readFile } from 'node:fs/promises'
import type { PlannedCall } from './three-books.ts'

/** The rows of the table of docs/billing.md that says what calls are charged. */
export async function readCharges(): Promise<ChargeRow[]> {
  const page = await readFile(new URL('../docs/billing.md', import.meta.url), 'utf8')
  const table = /<!-- charged calls -->\n(.*?)<!-- \/charged calls -->/s.exec(page)?.[1] ?? ''
  const [, , ...rows] = table.trim().split('\n')
  return rows.map((line) => {
    const cells = line.slice(1, -1).split('|')
    const [asked = '', by = '', after = '', charged = ''] = cells.map((cell) => cell.trim())
    return { asked, by, after, charged }
  })
}

/** The calls that show a row to be so: one for each place where it may be cut, with and without usage. */
export function callsOf({ asked, by, after }: ChargeRow): PlannedCall[] {
  const places = placesOf[`${asked}, ${after}`] ?? []
  const possible = by === 'its first-byte time-out' ? places.slice(0, asked === 'JSON' ? 3 : 1) : places
  const later = by === 'silence' ? possible.filter((place) => place > 0) : possible
  return [true, false].flatMap((usage) =>
    later.map((place) => ({ stream: asked === 'a stream', by, place, usage })),
  )
}

/** The packets after which something happens: of a stream six, of which the first says who speaks; of an answer three. */
const placesOf: Record<string, number[]> = {
  'JSON, all of it': [3],
  'JSON, any part': [0, 1, 2],
  'a stream, all of it': [6],
  'a stream, no word': [0, 1],
  'a stream, some words': [2, 3],
  'a stream, the last chunk': [4, 5],
}

/** A row of the table, in its words. */
export interface ChargeRow {
  asked: string
  by: string
  after: string
  charged: string
}
