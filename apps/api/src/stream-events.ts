import { once } from 'node:events'
import type { Caller } from '@millrace/accounts/api-keys'
import { isTerminal, type Status } from '@millrace/contract/statuses'
import { readEvents, type StoredEvent } from '@millrace/lifecycle/events'
import { findPrediction } from '@millrace/lifecycle/find'
import { type PredictionRow, present } from '@millrace/lifecycle/present'
import type { Request, Response } from 'express'
import type { Context } from './context.ts'
import { goneSignal } from './create.ts'

/**
 * Sends a prediction's events as server-sent events: those so far, then live, until `done`. Ids are the events' seq, so
 * `Last-Event-ID` resumes in any process with no gap and no repeat. Ends when the client goes, the prediction is
 * deleted, or the server drains (the client then resumes elsewhere).
 */
export async function streamEvents(
  context: Context,
  caller: Caller,
  row: PredictionRow,
  request: Request,
  response: Response,
): Promise<void> {
  const gone = AbortSignal.any([goneSignal(response), context.draining.signal])
  response.status(200).set({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
  })
  response.flushHeaders()
  const changed = changeFlag(context, row.id, gone)
  const heartbeat = setInterval(() => response.write(': still here\n\n'), heartbeatMs)
  let seq = lastEventId(request)
  try {
    for (;;) {
      changed.clear()
      const current = await findPrediction(context.db, caller.accountId, row.id)
      if (!current || gone.aborted) break
      const next = await sendEvents(context, current, seq, response, gone)
      seq = next.seq
      if (next.done || gone.aborted) break
      if (!next.full) await changed.wait()
    }
  } finally {
    clearInterval(heartbeat)
    changed.stop()
    response.end()
  }
}

const heartbeatMs = 15_000
const batchSize = 200

async function sendEvents(
  context: Context,
  row: PredictionRow,
  after: number,
  response: Response,
  gone: AbortSignal,
): Promise<{ seq: number; done: boolean; full: boolean }> {
  const events = await readEvents(context.db, row.id, after, batchSize)
  let seq = after
  let ended = false
  for (const event of events) {
    await send(response, gone, event.seq, event.kind, dataOf(context, row, event))
    seq = event.seq
    ended = event.kind === 'status' && isTerminal(statusOf(event))
  }
  const full = events.length === batchSize
  // `done` follows the last status and has the seq after it; a reader that has it already gets nothing more.
  const over = ended || (isTerminal(row.status) && events.length === 0)
  if (ended) await send(response, gone, seq + 1, 'done', present(row, context.links))
  if (over && !ended && (await isLast(context, row, after)))
    await send(response, gone, after + 1, 'done', present(row, context.links))
  return { seq, done: over, full }
}

/** Whether `seq` is the last stored event: what came after it for this reader was `done`, or is still to come. */
async function isLast({ db }: Context, { id }: PredictionRow, seq: number): Promise<boolean> {
  return seq > 0 && (await readEvents(db, id, seq - 1, 1)).some((event) => event.seq === seq)
}

function dataOf(context: Context, row: PredictionRow, event: StoredEvent): unknown {
  switch (event.kind) {
    case 'status':
      return present(asOf(row, event), context.links)
    case 'progress':
      return { progress: Number(event.data), attempt: event.attempt }
    case 'output':
    case 'log':
      return { ...(JSON.parse(event.data) as object), attempt: event.attempt }
  }
}

/** The prediction as it stood at a status event. */
function asOf(row: PredictionRow, event: StoredEvent): PredictionRow {
  const status = statusOf(event)
  if (isTerminal(status)) return row
  return {
    ...row,
    status,
    attempt: event.attempt,
    output: null,
    error: null,
    error_id: null,
    updated_at: event.created_at,
    started_at: status === 'processing' ? row.started_at : null,
    completed_at: null,
    progress: null,
  }
}

function statusOf(event: StoredEvent): Status {
  return (JSON.parse(event.data) as { status: Status }).status
}

async function send(
  response: Response,
  gone: AbortSignal,
  id: number,
  event: string,
  data: unknown,
): Promise<void> {
  if (gone.aborted) return
  if (response.write(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`)) return
  await once(response, 'drain', { signal: gone }).catch(() => {})
}

function lastEventId(request: Request): number {
  const given = Number(request.get('last-event-id') ?? 0)
  return Number.isSafeInteger(given) && given > 0 && given < 2 ** 31 ? given : 0
}

/** A flag that changes raise: cleared before a read, waited for after it, so that no change falls in between. */
function changeFlag(
  context: Context,
  id: string,
  gone: AbortSignal,
): { clear(): void; wait(): Promise<void>; stop(): void } {
  let raised = false
  let wake = () => {}
  const stop = context.changes.watch(id, () => {
    raised = true
    wake()
  })
  gone.addEventListener('abort', () => wake(), { once: true })
  return {
    clear: () => {
      raised = false
    },
    wait: () =>
      new Promise((resolve) => {
        wake = resolve
        if (raised || gone.aborted) resolve()
      }),
    stop,
  }
}
