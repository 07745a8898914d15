import { isTerminal } from '@millrace/contract/statuses'
import { type PredictionEventName, subscribes } from '@millrace/contract/webhook-events'
import { schedule } from '@millrace/webhooks/schedule'
import type { DeliveryRow, PredictionRow } from '../history.ts'
import type { Promises } from './promises.ts'

/** What is sent of a prediction. */
export const webhookPromises: Promises = {
  'every event that was asked for has its webhook': function* ({ rows, deliveries, endpoints }) {
    for (const row of rows.values()) {
      if (row.deleted || !isTerminal(row.status)) continue
      const subscribed = [{ id: null, events: row.webhook ?? [] }, ...endpoints]
      const own = deliveries.get(row.id) ?? []
      for (const { id, events } of subscribed) {
        for (const event of happenedTo(row).filter((name) => subscribes(events, name))) {
          const count = own.filter((one) => one.endpoint === id && one.event === event).length
          if (count !== 1) yield `${row.id} has ${count} deliveries of ${event}${id ? ` to ${id}` : ''}`
        }
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
      const { id, state, event, prediction, tries, endpoint, url } = delivery
      const name = `${id} (${event} of ${prediction})`
      const taken = answers(id).some((status) => status >= 200 && status < 300)
      if (state === 'delivered' && !taken) yield `${name} is delivered and was never taken`
      if (state === 'exhausted' && tries < schedule.length) yield `${name} was given up after ${tries} tries`
      const ended = (one: DeliveryRow) =>
        endpoint === null
          ? one.endpoint === null && one.prediction === prediction && one.url === url
          : one.endpoint === endpoint
      if (state === 'dropped' && !gone.some(ended))
        yield `${name} was dropped by a receiver that never said 410`
    }
  },
  'a webhook id always has the same body, soundly signed': function* ({ received, deliveriesById, deletes }) {
    for (const [id, copies] of received) {
      if (new Set(copies.map(({ body }) => body)).size > 1) yield `${id} came with different bodies`
      if (copies.some(({ sound }) => !sound)) yield `${id} came with a wrong signature`
      const purged = copies.some(({ prediction = '' }) => deletes.has(prediction))
      const delivery = deliveriesById.get(id)
      if (!delivery && !purged) yield `${id} is no delivery that is known`
      const other = copies.find(
        ({ event, prediction }) =>
          delivery && (event !== delivery.event || prediction !== delivery.prediction),
      )
      if (other) yield `${id} told ${other.event} of ${other.prediction}`
    }
  },
}

function happenedTo({ status, attempt, started }: PredictionRow): PredictionEventName[] {
  const happened: PredictionEventName[] = ['prediction.created']
  if (attempt > 0) happened.push('prediction.starting')
  if (started !== null) happened.push('prediction.started')
  if (isEnd(status)) happened.push(`prediction.${status}`)
  return happened
}

function isEnd(name: string): name is 'succeeded' | 'failed' | 'cancelled' {
  return name === 'succeeded' || name === 'failed' || name === 'cancelled'
}
