import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import type { Status } from '@millrace/contract/statuses'

/** All that was done and seen, in order, in memory for the judge and as NDJSON in `file` for people. */
export function openHistory(file: string): History {
  const entries: Entry[] = []
  const stream = createWriteStream(file)
  return {
    file,
    entries,
    record(happening) {
      const entry = { at: Math.ceil(now()), ...happening }
      entries.push(entry)
      stream.write(`${JSON.stringify(entry)}\n`)
    },
    async close() {
      stream.end()
      await once(stream, 'finish')
    },
  }
}

/** Unix milliseconds by a clock that nobody sets. Beginnings are rounded down and ends up: who is said to be first was. */
export function now(): number {
  return performance.timeOrigin + performance.now()
}

export interface History {
  file: string
  entries: Entry[]
  record(happening: Happening): void
  close(): Promise<void>
}

/** `at` is when it was recorded, in Unix milliseconds. */
export type Entry = Happening & { at: number }

export type Happening =
  /**
   * One request to create, and how it ended: `status` 0 is no answer. `asked` is when the request began, `body` the
   * digest of what was sent, `replayed` whether the answer called itself one that was given before.
   */
  | {
      is: 'create'
      key: string
      asked: number
      body: string
      status: number
      ms: number
      id?: string
      replayed?: boolean
      error?: string
      retryAfter?: boolean
    }
  /** A prediction as a client saw it; `asked` is when the request began. */
  | { is: 'get'; asked: number; id: string; status: number; shown?: Status }
  | { is: 'cancel'; asked: number; id: string; status: number; shown?: Status; ms: number }
  | { is: 'delete'; asked: number; id: string; status: number }
  /** A walk through the list by its cursor, to its end or, where it was not `whole`, to the last of `ids`. */
  | { is: 'list'; asked: number; ids: string[]; whole: boolean }
  /** One that arrived: whose it is, the digest of its body, whether its signature is right, and what it is answered with; 0 is nothing. */
  | { is: 'webhook'; id: string; prediction?: string; body: string; sound: boolean; answer: number }
  | { is: 'fault'; what: string }
  | { is: 'exit'; process: string; how: string; meant: boolean }
  /** The rows as they stand when all is quiet. */
  | { is: 'prediction'; row: PredictionRow }
  | { is: 'status-event'; id: string; seq: number; attempt: number; status: Status }
  | { is: 'delivery'; row: DeliveryRow }
  | { is: 'leftover'; what: string }
  | { is: 'leak'; where: string; secret: string }

export interface PredictionRow {
  id: string
  key: string | null
  status: Status
  attempt: number
  errorId: string | null
  /** The events that were asked for, as they were named. */
  webhook: string[] | null
  deleted: boolean
  created: number
  started: number | null
  completed: number | null
  outcomes: number
}

export interface DeliveryRow {
  id: string
  prediction: string
  event: string
  state: string
  attempt: number
  /** The account endpoint it goes to; null for the prediction's own webhook. */
  endpoint: string | null
  url: string
}
