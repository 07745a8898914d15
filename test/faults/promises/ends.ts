import { isTerminal } from '@millrace/contract/statuses'
import { maxAttempts } from '@millrace/lifecycle/lifecycle'
import { creatorsOf } from '../facts.ts'
import type { PredictionRow } from '../history.ts'
import type { Promises } from './promises.ts'

/** How a prediction ends. */
export const endPromises: Promises = {
  'every prediction ends': function* ({ rows, leftovers }) {
    for (const { id, status } of rows.values()) if (!isTerminal(status)) yield `${id} is still ${status}`
    yield* leftovers
  },
  'nothing that could be run waits for long without an owner': function* ({ ownerless }) {
    for (const { id, ms } of ownerless) yield `nobody had ${id} for ${ms} ms`
  },
  'there is one end, told once': function* ({ rows, events }) {
    for (const { id, status, outcomes, deleted } of rows.values()) {
      const ends = (events.get(id) ?? []).filter((event) => isTerminal(event.status))
      if (isTerminal(status) && ends.length !== 1) yield `${id} told ${ends.length} ends`
      if (ends[0] && ends[0].status !== status) yield `${id} told ${ends[0].status} and is ${status}`
      if (isTerminal(status) && !deleted && outcomes !== 1) yield `${id} has ${outcomes} outcomes`
    }
  },
  'what can succeed succeeds': function* (facts) {
    for (const row of facts.rows.values()) {
      const { id, status, errorId } = row
      if (status === 'cancelled' && !facts.cancels.has(id) && !facts.deletes.has(id))
        yield `${id} was cancelled, and nobody asked for it`
      if (status !== 'failed' || creatorsOf(row, facts).some(({ mayFail }) => mayFail)) continue
      if (errorId === 'WORKER_LOST' && lossesDuring(row, facts.workerLosses) >= maxAttempts) continue
      yield `${id} failed with ${errorId}`
    }
  },
  'what comes out is what went in': function* (facts) {
    const { rows, looks, received, creates } = facts
    for (const { id, word } of creates) {
      const stored = id && rows.get(id)?.inputWord
      if (stored && word && word !== stored) yield `${id} was told to ${word} and holds ${stored}`
    }
    for (const row of rows.values()) {
      const { id, status, inputWord, outputWord } = row
      if (inputWord === null) continue
      if (!creatorsOf(row, facts).some(({ word }) => word === inputWord))
        yield `${id} holds ${inputWord}, which none of its clients sent`
      if (status === 'succeeded' && outputWord !== inputWord)
        yield `${id} was made from ${inputWord} and holds ${outputWord}`
    }
    const wordOf = (id: string) => rows.get(id)?.inputWord ?? undefined
    for (const [id, seen] of looks) {
      const other = seen.find(({ shown, word }) => shown === 'succeeded' && word !== (wordOf(id) ?? word))
      if (other) yield `${id} was made from ${wordOf(id)} and shown as ${other.word}`
    }
    for (const { id, prediction = '', event, word } of [...received.values()].flat()) {
      if (event === 'prediction.succeeded' && word !== (wordOf(prediction) ?? word))
        yield `${id} tells ${word} of ${prediction}, which was made from ${wordOf(prediction)}`
    }
  },
}

/** How often a worker ended or was stopped while a prediction lived. */
function lossesDuring({ created, completed }: PredictionRow, losses: number[]): number {
  const end = completed ?? Number.POSITIVE_INFINITY
  return losses.filter((at) => at >= created * 1000 && at <= end * 1000).length
}
