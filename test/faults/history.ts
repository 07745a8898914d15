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
   * One request to create, and how it ended: `status` 0 is no answer. `key` is null where it had none, `word` is what
   * its input carries and no other's, `tag` its tag `team`, `asked` is when the request began, `body` the digest of what was sent, `mayFail`
   * whether that asks for a failure, `replayed` whether the answer called itself one that was given before.
   */
  | {
      is: 'create'
      key: string | null
      word?: string
      tag?: string
      mayFail?: boolean
      asked: number
      body: string
      status: number
      ms: number
      id?: string
      replayed?: boolean
      error?: string
      answer?: string
      retryAfter?: boolean
    }
  /** A prediction as a client saw it; `asked` is when the request began, `word` the one in the output of one that succeeded. */
  | ({ is: 'get'; asked: number; id: string; shown?: Status; word?: string } & Answered)
  | ({ is: 'cancel'; asked: number; id: string; shown?: Status; word?: string; ms: number } & Answered)
  | ({ is: 'delete'; asked: number; id: string } & Answered)
  /**
   * A walk through the list by its cursor, to its end or, where it was not `whole`, to the last of `ids`: `status` is
   * what its last page was answered with, and `tag` the `team` that alone was asked for. Of walks by page only those pages are told that were not shown.
   */
  | ({ is: 'list'; asked: number; ids: string[]; whole: boolean; tag?: string } & Answered)
  /**
   * One that arrived: whose it is and what it tells, the digest of its body, the word in the output that it shows,
   * whether its signature is right, and what it is answered with; 0 is nothing.
   */
  | {
      is: 'webhook'
      id: string
      prediction?: string
      event?: string
      word?: string
      body: string
      sound: boolean
      answer: number
    }
  | { is: 'fault'; what: string }
  | { is: 'exit'; process: string; how: string; meant: boolean }
  /** Nothing was left to run or to send any more, so many milliseconds after somebody began to wait for that. */
  | { is: 'quiet'; ms: number }
  /** An account endpoint that stands from now on to the end. */
  | { is: 'endpoint'; id: string; events: string[] }
  /** Nobody took a run for so long although somebody could have; in milliseconds. */
  | { is: 'ownerless'; id: string; ms: number }
  /** The rows as they stand when all is quiet. */
  | { is: 'prediction'; row: PredictionRow }
  | { is: 'status-event'; id: string; seq: number; attempt: number; status: Status }
  /** Of which attempts the outputs, the logs and the progress of a prediction are. */
  | { is: 'other-events'; id: string; told: [seq: number, attempt: number, kind: string][] }
  | { is: 'delivery'; row: DeliveryRow }
  | { is: 'leftover'; what: string }
  /**
   * What an account has, what its entries add up to, what is set aside of it, and what its runs add up to: in millionths
   * of a credit.
   */
  | { is: 'books'; account: string; balance: number; entries: number; held: number; holds: number }
  | { is: 'leak'; where: string; secret: string }

/**
 * How a request was answered: `status` 0 is not at all; the rest is told of what failed. `error` is the error id, or
 * why there was no answer, and `answer` the beginning of what an error was answered with.
 */
export interface Answered {
  status: number
  retryAfter?: boolean
  error?: string
  answer?: string
}

export interface PredictionRow {
  id: string
  key: string | null
  /** The words that its input and its output carry, where they do. */
  inputWord: string | null
  outputWord: string | null
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
  model: string
  /** What was set aside for it, and what it was charged, in millionths of a credit; the second once more as the ledger has it. */
  held: number
  charged: number
  charges: number[]
}

export interface DeliveryRow {
  id: string
  prediction: string
  event: string
  state: string
  attempt: number
  /** Of how many attempts it is known how they ended. */
  tries: number
  /** The account endpoint it goes to; null for the prediction's own webhook. */
  endpoint: string | null
  url: string
}
