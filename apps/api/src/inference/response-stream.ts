import { metaOf, responseOf } from '@millrace/activity/background-response'
import { isTerminal } from '@millrace/contract/statuses'
import type { ResponseEvent } from '@millrace/inference/responses/event'
import { ResponseTeller } from '@millrace/inference/responses/response-teller'
import { chunkOfPart, type ToldPart } from '@millrace/inference/responses/told-part'
import { readEvents } from '@millrace/lifecycle/events'
import { findPrediction } from '@millrace/lifecycle/find'
import type { PredictionRow } from '@millrace/lifecycle/present'
import type { Response } from 'express'
import { changeFlag } from '../change-flag.ts'
import type { Context } from '../context.ts'
import { goneSignal } from '../create.ts'
import { openEventStream } from './event-stream.ts'

/** One event as a frame of a stream. */
export function frameOf(event: ResponseEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
}

/** Sends those of the events whose number is greater than `after`, and the last one in any case. */
export async function sendEvents(
  context: Context,
  response: Response,
  after: number,
  events: (over: AbortSignal) => Iterable<ResponseEvent> | AsyncIterable<ResponseEvent>,
): Promise<void> {
  const gone = goneSignal(response)
  const over = AbortSignal.any([gone, context.draining.signal])
  const stream = openEventStream(response, { gone, signal: over })
  try {
    for await (const event of events(over)) {
      if (over.aborted) break
      if (event.sequence_number > after || isLast(event)) await stream.send(frameOf(event))
    }
  } finally {
    stream.end()
  }
}

/**
 * The events of a response that is made in the background: those so far, then live, to its end. They are made from what is
 * stored of its prediction, so that each has the same number whoever tells it, and whenever. Only what the first attempt
 * that said something said is told as it came: after another one had to begin anew, only the end is, with the whole output.
 */
export async function* backgroundEvents(
  context: Context,
  made: PredictionRow,
  over: AbortSignal,
): AsyncGenerator<ResponseEvent, void> {
  const { id, account_id: accountId } = made
  const changed = changeFlag(context, id, over)
  const teller = new ResponseTeller(metaOf(made))
  const opening = teller.begin({ queued: true })
  const begun = opening.splice(-1)
  yield* opening
  let seq = 0
  let attempt: number | undefined
  let parts = 0
  try {
    while (!over.aborted) {
      changed.clear()
      // Before its events, so that where it has ended all of them are there.
      const row = await findPrediction(context.db, accountId, id)
      const events = await readEvents(context.db, id, seq, batchSize)
      if (row?.status !== 'pending') yield* begun.splice(0)
      for (const event of events) {
        seq = event.seq
        if (event.kind !== 'output') continue
        attempt ??= event.attempt
        if (event.attempt !== attempt) continue
        yield* begun.splice(0)
        yield* teller.read(chunkOfPart(partIn(event.data), parts++))
      }
      // It was deleted meanwhile, which ended it.
      if (!row) return yield* teller.endWith(responseOf({ ...made, status: 'cancelled' }))
      if (isTerminal(row.status) && events.length < batchSize) {
        return yield* teller.endWith(responseOf(row), { partial: attempt !== row.attempt })
      }
      if (events.length === 0) await changed.wait()
    }
  } finally {
    changed.stop()
  }
}

const batchSize = 200

function partIn(data: string): ToldPart {
  const { delta, item } = JSON.parse(data) as { delta: string; item?: Exclude<ToldPart, string> }
  return item ?? delta
}

function isLast({ type }: ResponseEvent): boolean {
  return type === 'response.completed' || type === 'response.incomplete' || type === 'response.failed'
}
