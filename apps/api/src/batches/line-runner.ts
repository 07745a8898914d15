import { type LineEnd, linesEnded, type NewLine } from '@millrace/batches/batch-lines'
import type { HeldBatch } from '@millrace/batches/hold-batches'
import type { BatchRequest } from '@millrace/contract/batch'
import type { Context } from '../context.ts'
import { type Asker, answerLine } from './answer-line.ts'

/**
 * Runs the lines of one batch that ask for inference, a few at a time. They are only in this process: a line stays taken
 * until its answer is noted, so whoever goes on after a crash runs it again.
 */
export function openLineRunner(context: Context, batch: HeldBatch): LineRunner {
  const stopping = new AbortController()
  const held = new Set<number>()
  const waiting: (() => Promise<void>)[] = []
  const running = new Set<Promise<void>>()
  let ends: LineEnd[] = []
  let flushing: Promise<void> | undefined

  function pump(): void {
    while (running.size < context.config.BATCH_CONCURRENCY) {
      const next = waiting.shift()
      if (!next) return
      const work = next().finally(() => {
        running.delete(work)
        pump()
      })
      running.add(work)
    }
  }

  async function run(
    { line, prediction_id: id }: NewLine,
    request: BatchRequest,
    asker: Asker,
  ): Promise<void> {
    const { signal } = stopping
    const end = signal.aborted
      ? undefined
      : await answerLine(context, { ...asker, accountId: batch.account_id, id, signal }, request)
    if (!end) {
      held.delete(line)
      return
    }
    ends.push({ line, ...end })
    // What could not be noted now is noted with the next step of the batch.
    void flush().catch(() => undefined)
  }

  async function note(): Promise<void> {
    while (ends.length > 0) {
      const noted = ends
      ends = []
      try {
        await linesEnded(context.db, batch.id, noted)
      } catch (error) {
        ends = [...noted, ...ends]
        throw error
      }
      for (const { line } of noted) held.delete(line)
    }
  }

  function flush(): Promise<void> {
    flushing ??= note().finally(() => {
      flushing = undefined
    })
    return flushing
  }

  return {
    start(line, request, asker) {
      if (held.has(line.line)) return
      held.add(line.line)
      waiting.push(() => run(line, request, asker))
      pump()
    },
    held: () => new Set(held),
    waiting: () => waiting.length,
    flush,
    async stop() {
      stopping.abort()
      while (running.size > 0) await Promise.all(running)
      await flush()
    },
  }
}

/** See `openLineRunner`. */
export interface LineRunner {
  /** Has a line answered as soon as there is room. One that is held already is not run again. */
  start(line: NewLine, request: BatchRequest, asker: Asker): void
  /** The lines that wait, run, or have an answer that is not noted yet, as of now. */
  held(): ReadonlySet<number>
  /** How many wait for room. */
  waiting(): number
  /** Notes the answers that there are. Throws when the database does. */
  flush(): Promise<void>
  /** Breaks off what runs, for good, and notes the answers that there are. */
  stop(): Promise<void>
}
