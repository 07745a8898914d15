import { isTerminal, type Status } from '@millrace/contract/statuses'
import type { Promises } from './promises.ts'

/** How a prediction moves. */
export const statusPromises: Promises = {
  'statuses only move forward': function* ({ looks, events }) {
    for (const [id, seen] of looks) {
      for (const later of seen) {
        const earlier = seen.find(
          (one) => one.at < later.asked && one.shown && later.shown && rank(one.shown) > rank(later.shown),
        )
        if (earlier) yield `${id} was ${earlier.shown}, then ${later.shown}`
      }
    }
    for (const [id, told] of events) {
      for (const [nth, { status, attempt }] of told.entries()) {
        const before = told[nth - 1]
        if (before && rank(status) < rank(before.status)) yield `${id} told ${before.status}, then ${status}`
        const again = told.slice(0, nth).some((one) => one.status === status && one.attempt === attempt)
        if (again) yield `${id} told ${status} twice in attempt ${attempt}`
      }
    }
  },
  'what was shown at the end is the end': function* ({ looks, rows }) {
    for (const [id, seen] of looks) {
      const row = rows.get(id)
      const wrong = seen.find(({ shown }) => shown && isTerminal(shown) && row && shown !== row.status)
      if (wrong) yield `${id} was shown ${wrong.shown} and is ${row?.status}`
    }
  },
  'attempts rise, and stale ones write nothing': function* ({ rows, events, otherEvents }) {
    for (const [id, told] of events) {
      const others = (otherEvents.get(id) ?? []).map(([seq, attempt, kind]) => ({ seq, attempt, kind }))
      const all = [...told.map(({ seq, attempt }) => ({ seq, attempt, kind: 'status' })), ...others]
      all.sort((a, b) => a.seq - b.seq)
      for (const [nth, { attempt, kind }] of all.entries()) {
        const before = all[nth - 1]
        if (before && attempt < before.attempt)
          yield `${id} told ${kind} of attempt ${attempt} after ${before.kind} of ${before.attempt}`
      }
      const last = all.at(-1)?.attempt ?? 0
      const row = rows.get(id)
      const isStale = row && (isTerminal(row.status) ? row.attempt !== last : row.attempt < last)
      if (isStale) yield `${id} is at attempt ${row.attempt} and told ${last}`
    }
  },
  'created, started and completed are in order': function* ({ rows }) {
    for (const { id, created, started, completed } of rows.values()) {
      const times = [created, started, completed].filter((time) => time !== null)
      if (times.some((time, nth) => nth > 0 && time < (times[nth - 1] ?? 0)))
        yield `${id}: ${times.join(', ')}`
    }
  },
}

function rank(status: Status): number {
  return isTerminal(status) ? 3 : ['pending', 'starting', 'processing'].indexOf(status)
}
