import { setTimeout as delay } from 'node:timers/promises'
import { databaseNow } from '@millrace/database/clock'
import type { Database } from '@millrace/database/connect'
import { faultOf } from '@millrace/database/faults'
import { newId } from '@millrace/database/ids'
import type { PartitionWidth } from '@millrace/database/partitions'
import type { Log } from '@millrace/process/log'
import { counter } from '@millrace/process/metrics'
import type { LoggedRequest, RequestEnd, RequestStart } from './logged-request.ts'
import { sayAlive, writeRequests } from './write-requests.ts'

/**
 * The activity log of inference. Nothing of it is on the way of a call: what begins and ends is gathered and written
 * together, ten times a second, so that a call that ends within a moment is written once. While the database is away
 * rows wait in memory, the oldest are dropped (and counted) when too many do.
 */
export function openRequestLog({ db, log, partitions }: RequestLogOptions): RequestLog {
  const open = new Map<string, Row>()
  let unwritten = new Map<string, Row>()
  let writing: Promise<void> | undefined
  let aliveAt = performance.now()
  let whenEmpty = () => {}

  async function write(): Promise<void> {
    const batch = unwritten
    unwritten = new Map()
    const rows = [...batch.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
    const parts = Array.from({ length: Math.ceil(rows.length / atOnce) }, (_, n) =>
      rows.slice(n * atOnce, (n + 1) * atOnce),
    )
    for (let part = parts.shift(); part; part = parts.shift()) {
      try {
        await writeRequests(db, partitions, part)
      } catch (err) {
        if (faultOf(err) !== 'bad-row') {
          log.warn({ err }, 'the activity log could not be written; it is tried again')
          keep([part, ...parts].flat())
          return
        }
        // One that the database refuses takes no other with it.
        const half = part.length >> 1
        if (half > 0) parts.unshift(part.slice(0, half), part.slice(half))
        else {
          dropped.inc()
          log.error({ err, request: part[0]?.requestId }, 'a row of the activity log was refused')
        }
      }
    }
  }

  /** What has changed since stands as it is now. */
  function keep(rows: Row[]): void {
    const kept = new Map(rows.map((row) => [row.id, row]))
    for (const [id, row] of unwritten) kept.set(id, row)
    const excess = Math.max(0, kept.size - mostKept)
    for (const id of [...kept.keys()].slice(0, excess)) kept.delete(id)
    dropped.inc(excess)
    unwritten = kept
  }

  async function tellAlive(): Promise<void> {
    if (performance.now() - aliveAt < aliveEveryMs) return
    aliveAt = performance.now()
    const ids = [...open.keys()]
    await sayAlive(db, ids).catch((err: unknown) => log.debug({ err }, 'open requests could not be told'))
  }

  function flush(): Promise<void> {
    writing ??= Promise.all([
      unwritten.size > 0 ? write() : undefined,
      open.size > 0 ? tellAlive() : undefined,
    ])
      .then(() => undefined)
      .finally(() => {
        writing = undefined
      })
    return writing
  }

  const allEnded = () =>
    new Promise<void>((resolve) => {
      whenEmpty = resolve
    })
  const timer = setInterval(() => void flush(), gatherMs)

  return {
    start(start) {
      const row: Row = { ...start, id: start.id ?? newId(), startedAt: new Date(databaseNow()) }
      open.set(row.id, row)
      unwritten.set(row.id, row)
      return {
        id: row.id,
        end(end) {
          if (row.end) return
          row.end = { ...end, endedAt: new Date(databaseNow()) }
          open.delete(row.id)
          if (open.size === 0) whenEmpty()
          unwritten.set(row.id, row)
        },
      }
    },
    flush,
    async close() {
      if (open.size > 0) await Promise.race([allEnded(), delay(patienceMs)])
      clearInterval(timer)
      await flush()
      // What ended while the last one was under way.
      if (unwritten.size > 0) await flush()
    },
  }
}

/** Between two writes. */
const gatherMs = 100
const atOnce = 500
/** Tokens that no host counted are counted once a call is over. */
const patienceMs = 2_000
const mostKept = 20_000

/** Three of these are missed before a request counts as lost with its process. */
const aliveEveryMs = 20_000

const dropped = counter(
  'millrace_activity_rows_dropped_total',
  'Rows of the activity log that were never written',
)

/** A request as it stands; written with its start, its end, or both. */
export interface Row extends RequestStart {
  id: string
  startedAt: Date
  end?: RequestEnd & { endedAt: Date }
}

/** Where calls are noted. */
export interface RequestLog {
  /** Notes that a call begins. It ends by `end`, the first of which counts. */
  start(start: RequestStart): LoggedRequest
  /** Writes what waits to be written. */
  flush(): Promise<void>
  /** Waits a moment for calls that are about to end, and writes what is left, as far as the database takes it. */
  close(): Promise<void>
}

interface RequestLogOptions {
  db: Database
  log: Log
  partitions: PartitionWidth
}
