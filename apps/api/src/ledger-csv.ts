import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { LedgerEntryShown } from '@millrace/contract/billing'
import type { Database } from '@millrace/database/connect'
import { type EntryFilter, readEntries } from '@millrace/ledger/list-entries'
import type { LedgerEntry } from '@millrace/ledger/move-credits'
import type { Response } from 'express'
import { csvLine } from './csv.ts'

/** Answers with all entries of a filter as a table, read as the client takes them. */
export async function sendLedger(
  db: Database,
  filter: EntryFilter,
  response: Response,
  present: (entry: LedgerEntry) => LedgerEntryShown,
): Promise<void> {
  const pages = readEntries(db, filter)
  // The first page before the answer begins: what is wrong by then has a status of its own.
  const first = await pages.next()
  async function* lines() {
    yield csvLine(columns)
    if (first.done) return
    yield first.value.map((entry) => lineOf(present(entry))).join('')
    for await (const page of pages) yield page.map((entry) => lineOf(present(entry))).join('')
  }
  response.status(200).set({
    'content-type': 'text/csv; charset=utf-8',
    'content-disposition': 'attachment; filename="ledger.csv"',
    'cache-control': 'no-store',
  })
  await pipeline(Readable.from(lines()), response).catch((error: unknown) => {
    if (!response.destroyed) throw error
  })
}

const columns = [
  'id',
  'created_at',
  'kind',
  'amount',
  'debit',
  'credit',
  'prediction_id',
  'request_id',
  'key_id',
  'model',
  'reason',
  'call_id',
] as const satisfies (keyof LedgerEntryShown)[]

const lineOf = (entry: LedgerEntryShown): string => csvLine(columns.map((column) => entry[column]))
