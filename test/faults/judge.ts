import { isTerminal, type Status } from '@millrace/contract/statuses'
import { type PredictionEventName, subscribes } from '@millrace/contract/webhook-events'
import { schedule } from '@millrace/webhooks/schedule'
import type { DeliveryRow, Entry, PredictionRow } from './history.ts'
import { disorderIn, type KeyAnswer } from './key-register.ts'

/**
 * Judges a history by the promises. Answers every breach in words; none means that all held. It looks at nothing but
 * the history, so that a kept one can be judged again.
 */
export function judge(entries: Entry[]): string[] {
  const facts = gather(entries)
  return Object.entries(promises).flatMap(([promise, breaches]) =>
    [...breaches(facts)].map((breach) => `${promise}: ${breach}`),
  )
}

/** Each promise with what breaks it. */
export const promises: Record<string, (facts: Facts) => Iterable<string>> = {
  'every accepted create has exactly one row': function* ({ creates, rows, deletes }) {
    for (const { id, key, status } of creates) {
      const known = id && (rows.has(id) || deletes.has(id))
      if (status < 300 && status > 0 && !known) yield `${id} (key ${key}) has no row`
    }
  },
  'one idempotency key is one prediction': function* ({ creates, rows }) {
    const told = new Set(creates.flatMap(({ id }) => id ?? []))
    for (const { id, key } of rows.values()) {
      if (key === null && !told.has(id)) yield `${id} has no key, and nobody was told of it`
    }
    const byKey = Map.groupBy(creates, ({ key }) => key)
    for (const [key, calls] of byKey) {
      const ids = new Set(calls.flatMap(({ id }) => id ?? []))
      if (ids.size > 1) yield `${key} was answered with ${[...ids].join(' and ')}`
      for (const id of ids) {
        const other = rows.get(id)?.key ?? key
        if (other !== key) yield `${key} was answered with ${id}, which ${other} made`
      }
    }
    const rowsByKey = Map.groupBy([...rows.values()], ({ key }) => key)
    for (const [key, made] of rowsByKey) {
      if (key !== null && made.length > 1) yield `${key} made ${made.map(({ id }) => id).join(' and ')}`
      if (key !== null && !byKey.has(key)) yield `${key} was never asked for`
    }
  },
  'the creates under one key happened in one order': function* ({ creates }) {
    for (const [key, calls] of Map.groupBy(creates, (create) => create.key)) {
      const disorder = disorderIn(
        calls.map((call) => ({ body: call.body, start: call.asked, end: call.at, answer: keyAnswer(call) })),
      )
      if (disorder) yield `${key}: ${disorder}`
    }
  },
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
  'every prediction ends': function* ({ rows, leftovers }) {
    for (const { id, status } of rows.values()) if (!isTerminal(status)) yield `${id} is still ${status}`
    yield* leftovers
  },
  'there is one end, told once': function* ({ rows, events }) {
    for (const { id, status, outcomes, deleted } of rows.values()) {
      const ends = (events.get(id) ?? []).filter((event) => isTerminal(event.status))
      if (isTerminal(status) && ends.length !== 1) yield `${id} told ${ends.length} ends`
      if (ends[0] && ends[0].status !== status) yield `${id} told ${ends[0].status} and is ${status}`
      if (isTerminal(status) && !deleted && outcomes !== 1) yield `${id} has ${outcomes} outcomes`
    }
  },
  'attempts rise, and stale ones write nothing': function* ({ rows, events }) {
    for (const [id, told] of events) {
      for (const [nth, { attempt }] of told.entries()) {
        const before = told[nth - 1]
        if (before && attempt < before.attempt) yield `${id} told attempt ${attempt} after ${before.attempt}`
      }
      const last = told.at(-1)?.attempt ?? 0
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
  'every event that was asked for has its webhook': function* ({ rows, deliveries }) {
    for (const { id, status, started, webhook, deleted } of rows.values()) {
      if (deleted || !isTerminal(status)) continue
      const happened: PredictionEventName[] = [`prediction.${status}`]
      if (started !== null) happened.push('prediction.started')
      for (const event of happened.filter((name) => webhook && subscribes(webhook, name))) {
        const own = (deliveries.get(id) ?? []).filter((one) => one.endpoint === null && one.event === event)
        if (own.length !== 1) yield `${id} has ${own.length} deliveries of ${event}`
      }
    }
    for (const { id, state, event, prediction } of [...deliveries.values()].flat()) {
      const status = rows.get(prediction)?.status
      const end = event.replace('prediction.', '')
      if (status && isEnd(end) && end !== status)
        yield `${id} tells ${event} of ${prediction}, which is ${status}`
      if (state === 'due' || state === 'sending') yield `${id} (${event} of ${prediction}) is still ${state}`
    }
  },
  'a delivery ends as the receiver answered': function* ({ deliveries, received }) {
    const all = [...deliveries.values()].flat()
    const answers = (id: string) => (received.get(id) ?? []).map(({ answer }) => answer)
    const gone = all.filter(({ id }) => answers(id).includes(410))
    for (const delivery of all) {
      const { id, state, event, prediction, attempt, endpoint, url } = delivery
      const name = `${id} (${event} of ${prediction})`
      const taken = answers(id).some((status) => status >= 200 && status < 300)
      if (state === 'delivered' && !taken) yield `${name} is delivered and was never taken`
      if (state === 'exhausted' && attempt < schedule.length)
        yield `${name} was given up after ${attempt} tries`
      const ended = (one: DeliveryRow) =>
        endpoint === null
          ? one.endpoint === null && one.prediction === prediction && one.url === url
          : one.endpoint === endpoint
      if (state === 'dropped' && !gone.some(ended))
        yield `${name} was dropped by a receiver that never said 410`
    }
  },
  'a webhook id always has the same body, soundly signed': function* ({ received, deliveryIds, deletes }) {
    for (const [id, copies] of received) {
      if (new Set(copies.map(({ body }) => body)).size > 1) yield `${id} came with different bodies`
      if (copies.some(({ sound }) => !sound)) yield `${id} came with a wrong signature`
      const purged = copies.some(({ prediction = '' }) => deletes.has(prediction))
      if (!deliveryIds.has(id) && !purged) yield `${id} is no delivery that is known`
    }
  },
  'a walk through the list shows each row once': function* ({ lists, creates, deletes }) {
    for (const { asked, at: ended, ids, whole } of lists) {
      const listed = new Set(ids)
      const last = whole ? '' : (ids.at(-1) ?? '')
      for (const [nth, id] of ids.entries()) {
        if (nth > 0 && id >= (ids[nth - 1] ?? '')) yield `${id} was listed after ${ids[nth - 1]}`
        const gone = deletes.get(id)?.find(({ at, status }) => status === 200 && at < asked)
        if (gone) yield `${id} was listed ${asked - gone.at} ms after it was deleted`
      }
      for (const { id, at, status } of creates) {
        const stood = id && status < 300 && at < asked && !deletes.get(id)?.some((one) => one.asked <= ended)
        if (stood && id >= last && !listed.has(id))
          yield `${id} was missing from a list asked for ${asked - at} ms later`
      }
    }
  },
  'what fails for now is a 503 that says when to ask again': function* ({ creates }) {
    for (const { key, status, retryAfter, error } of creates) {
      if (status >= 500 && !(status === 503 && retryAfter)) yield `${key} was answered ${status} (${error})`
    }
  },
  'no secret is told': function* ({ leaks }) {
    yield* leaks
  },
}

function gather(entries: Entry[]): Facts {
  const of = <Kind extends Entry['is']>(kind: Kind) =>
    entries.filter((entry): entry is Extract<Entry, { is: Kind }> => entry.is === kind)
  const deliveries = of('delivery').map(({ row }) => row)
  return {
    creates: of('create'),
    looks: Map.groupBy([...of('get'), ...of('cancel')], ({ id }) => id),
    lists: of('list'),
    deletes: Map.groupBy(of('delete'), ({ id }) => id),
    rows: new Map(of('prediction').map(({ row }) => [row.id, row])),
    events: Map.groupBy(
      of('status-event').toSorted((a, b) => a.seq - b.seq),
      ({ id }) => id,
    ),
    deliveries: Map.groupBy(deliveries, ({ prediction }) => prediction),
    deliveryIds: new Set(deliveries.map(({ id }) => id)),
    received: Map.groupBy(of('webhook'), ({ id }) => id),
    leftovers: of('leftover').map(({ what }) => what),
    leaks: of('leak').map(({ where, secret }) => `${secret} in ${where}`),
  }
}

function keyAnswer({ status, id, error, replayed = false }: Kind<'create'>): KeyAnswer {
  if (id) return { id, replayed }
  if (error === 'IDEMPOTENCY_KEY_REUSED') return 'reused'
  if (error === 'IDEMPOTENCY_IN_PROGRESS') return 'in-progress'
  return status >= 400 && status < 500 ? 'refused' : 'unknown'
}

function isEnd(name: string): boolean {
  return name === 'succeeded' || name === 'failed' || name === 'cancelled'
}

function rank(status: Status): number {
  return isTerminal(status) ? 3 : ['pending', 'starting', 'processing'].indexOf(status)
}

type Kind<Name extends Entry['is']> = Extract<Entry, { is: Name }>

interface Facts {
  creates: Kind<'create'>[]
  /** Every answer that showed a prediction's status: to a look, or to a cancel. */
  looks: Map<string, (Kind<'get'> | Kind<'cancel'>)[]>
  lists: Kind<'list'>[]
  deletes: Map<string, Kind<'delete'>[]>
  rows: Map<string, PredictionRow>
  events: Map<string, Kind<'status-event'>[]>
  deliveries: Map<string, DeliveryRow[]>
  deliveryIds: Set<string>
  received: Map<string, Kind<'webhook'>[]>
  leftovers: string[]
  leaks: string[]
}
