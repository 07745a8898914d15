import type { Status } from '@millrace/contract/statuses'
import type { DeliveryRow, Entry, Happening, PredictionRow } from './faults/history.ts'

/** One create, sent again since its first answer was lost, with two webhooks, looks at it and a walk. */
export function history({ seen = [], stored = [], row = {}, without = () => false }: Change = {}): Entry[] {
  const whole = [
    sent({ asked: 10, at: 15 }),
    created({ asked: 20, at: 25, replayed: true }),
    look('pending', { asked: 26, at: 27 }),
    webhook('msg_1'),
    webhook('msg_2'),
    look('succeeded', { asked: 95, at: 96 }),
    walk(['pred_1'], { asked: 97, at: 98 }),
    ...ended({ webhook: ['started', 'completed'], ...row }),
    delivery('msg_1', 'prediction.started'),
    delivery('msg_2', 'prediction.succeeded'),
  ]
  return [...whole.filter((entry) => !without(entry)), ...seen, ...stored]
}

/** A row and what was told of it. */
export function ended(change: Partial<PredictionRow> = {}): Entry[] {
  const row: PredictionRow = {
    id: 'pred_1',
    key: 'key-1',
    status: 'succeeded',
    attempt: 1,
    errorId: null,
    webhook: null,
    deleted: false,
    created: 10,
    started: 11,
    completed: 12,
    outcomes: 1,
    ...change,
  }
  return [
    happened({ is: 'prediction', row }),
    statusEvent(1, 'pending', 0, row.id),
    statusEvent(2, 'starting', 1, row.id),
    statusEvent(3, 'processing', 1, row.id),
    statusEvent(4, 'succeeded', 1, row.id),
  ]
}

/** A create that was sent and, unless told otherwise, never answered. */
export function sent({ at = 45, ...change }: Partial<Extract<Entry, { is: 'create' }>> = {}): Entry {
  return { is: 'create', key: 'key-1', asked: 40, body: 'digest', status: 0, ms: 5, ...change, at }
}

export function created(change: Partial<Extract<Entry, { is: 'create' }>> = {}): Entry {
  return sent({ status: 201, id: 'pred_1', ...change })
}

export function look(shown: Status, { asked, at }: Times): Entry {
  return { is: 'get', asked, at, id: 'pred_1', status: 200, shown }
}

export function cancelled(shown: Status, { asked, at }: Times): Entry {
  return { is: 'cancel', asked, at, id: 'pred_1', status: 200, shown, ms: at - asked }
}

export function walk(ids: string[], { asked = 99, at = 100, whole = true } = {}): Entry {
  return { is: 'list', asked, at, ids, whole }
}

export function webhook(id: string, change: Partial<Extract<Happening, { is: 'webhook' }>> = {}): Entry {
  return {
    is: 'webhook',
    at: 60,
    id,
    prediction: 'pred_1',
    body: 'digest',
    sound: true,
    answer: 200,
    ...change,
  }
}

export function statusEvent(seq: number, status: Status, attempt: number, id = 'pred_1'): Entry {
  return happened({ is: 'status-event', id, seq, attempt, status })
}

export function delivery(id: string, event: string, change: Partial<DeliveryRow> = {}): Entry {
  const row = {
    id,
    prediction: 'pred_1',
    event,
    state: 'delivered',
    attempt: 1,
    endpoint: null,
    url: 'http://here/',
  }
  return happened({ is: 'delivery', row: { ...row, ...change } })
}

export function happened(happening: Happening, at = 200): Entry {
  return { at, ...happening }
}

export function isAbout(message: string): (entry: Entry) => boolean {
  return (entry) =>
    (entry.is === 'webhook' && entry.id === message) || (entry.is === 'delivery' && entry.row.id === message)
}

export function tellsTheEnd(entry: Entry): boolean {
  return (
    isAbout('msg_2')(entry) ||
    ((entry.is === 'status-event' || entry.is === 'get') &&
      'succeeded' === (entry.is === 'get' ? entry.shown : entry.status))
  )
}

interface Times {
  asked: number
  at: number
}

/** What is left out of the sound history, what is other in its row, and what else was seen and stored. */
interface Change {
  without?: (entry: Entry) => boolean
  row?: Partial<PredictionRow>
  seen?: Entry[]
  stored?: Entry[]
}
