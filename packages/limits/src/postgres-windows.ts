import { createBatcher } from '@millrace/database/batch'
import type { Database } from '@millrace/database/connect'
import { retryConflicts } from '@millrace/database/faults'
import type { RateCount, RateEntry, RateStore, RateWindow } from './rate-window.ts'

/** Windows in Postgres, by its clock: what is asked at once goes in one statement, which counts one ask after another. */
export function postgresWindows(db: Database): RateStore {
  const batcher = createBatcher<readonly RateEntry[], RateCount>({
    flush: (asks) => retryConflicts(() => countAll(db, asks)),
    maxSize: 100,
  })
  return {
    count: (entries) => batcher.add(entries),
    async opened() {},
    async close() {},
  }
}

async function countAll({ pool }: Database, asks: (readonly RateEntry[])[]): Promise<RateCount[]> {
  const windows = new Map<string, RateWindow>()
  for (const { window } of asks.flat()) windows.set(window.name, window)
  const places = new Map([...windows.keys()].map((name, n) => [name, n + 1]))
  const entries = asks.flatMap((ask, n) => ask.map((entry) => ({ ...entry, ask: n + 1 })))
  const { rows } = await pool.query<ReadingRow>({
    name: 'count-rates',
    text: `select counted, used, leaves, fits, slice
           from count_rates($1::text[], $2::bigint[], $3::bigint[], $4::integer[], $5::integer[], $6::bigint[], $7::bigint[], $8::bigint[])`,
    values: [
      [...windows.keys()],
      [...windows.values()].map(({ sliceMs }) => sliceMs),
      [...windows.values()].map(({ slices }) => slices),
      entries.map(({ ask }) => ask),
      entries.map(({ window }) => places.get(window.name)),
      entries.map(({ cost }) => cost),
      entries.map(({ limit }) => limit ?? null),
      entries.map(({ slice }) => slice ?? null),
    ],
  })
  let read = 0
  return asks.map(({ length }) => {
    const own = rows.slice(read, read + length)
    read += length
    return {
      counted: own.every(({ counted }) => counted),
      readings: own.map(({ used, leaves, fits, slice }) => ({
        used,
        leavesMs: leaves ?? 0,
        fitsMs: fits,
        slice,
      })),
    }
  })
}

interface ReadingRow {
  counted: boolean
  used: number
  leaves: number | null
  fits: number
  slice: number
}
