import { once } from 'node:events'
import type { Caller } from '@millrace/accounts/api-keys'
import { isTerminal, type Status } from '@millrace/contract/statuses'
import { readEvents, type StoredEvent } from '@millrace/lifecycle/events'
import { findPrediction } from '@millrace/lifecycle/find'
import { type PredictionRow, present } from '@millrace/lifecycle/present'
import type { Request, Response } from 'express'
import { changeFlag } from './change-flag.ts'
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
  let seq = await resumeAfter(context, row, request)
  try {
    for (;;) {
      changed.clear()
      const sent = await sendEvents(context, caller, row.id, seq, response, gone)
      if (sent.next === 'end' || gone.aborted) break
      if (sent.next === 'wait') await changed.wait()
      seq = sent.seq
    }
  } finally {
    clearInterval(heartbeat)
    changed.stop()
    response.end()
  }
}

const heartbeatMs = 15_000
const batchSize = 200

/** Sends what was stored after `seq`. The row is read after the events, so that it is never behind what they tell. */
async function sendEvents(
  context: Context,
  { accountId }: Caller,
  id: string,
  seq: number,
  response: Response,
  gone: AbortSignal,
): Promise<{ seq: number; next: 'read' | 'wait' | 'end' }> {
  const events = await readEvents(context.db, id, seq, batchSize)
  const row = await findPrediction(context.db, accountId, id)
  if (!row) return { seq, next: 'end' }
  for (const event of events) await send(response, gone, event.seq, event.kind, dataOf(context, row, event))
  const reached = events.at(-1)?.seq ?? seq
  if (!isTerminal(row.status)) return { seq: reached, next: events.length === 0 ? 'wait' : 'read' }

  const [here, later] = await readEvents(context.db, id, reached - 1, 2)
  const more = here !== undefined && (here.seq > reached || later !== undefined)
  // `done` has the seq after the last event; who was sent it already finds no event here. Events may have expired.
  if (!more && (here || reached === 0)) {
    await send(response, gone, reached + 1, 'done', present(row, context.links))
  }
  return { seq: reached, next: more ? 'read' : 'end' }
}

/** The seq to go on after: that of `Last-Event-ID`, where it was ever given out, else 0, the beginning. */
async function resumeAfter(
  { db }: Context,
  { id, status }: PredictionRow,
  request: Request,
): Promise<number> {
  const given = Number(request.get('last-event-id') ?? 0)
  if (!Number.isSafeInteger(given) || given < 1 || given >= 2 ** 31) return 0
  const known = await readEvents(db, id, given - (isTerminal(status) ? 2 : 1), 1)
  return known.length > 0 ? given : 0
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
