import type { Status } from '@millrace/contract/statuses'
import type { DeliveryRow, Entry, Happening, PredictionRow } from './faults/history.ts'

/** One create, sent again since its first answer was lost, with two webhooks, looks at it and a walk. */
export function history({ seen = [], stored = [], row = {}, without = () => false }: Change = {}): Entry[] {
  const whole = [
    sent({ asked: 10, at: 15 }),
    created({ asked: 20, at: 25, replayed: true }),
    look('pending', { asked: 26, at: 27 }),
    webhook('msg_1', { event: 'prediction.started' }),
    webhook('msg_2'),
    look('succeeded', { asked: 95, at: 96 }),
    walk(['pred_1'], { asked: 97, at: 98 }),
    ...ended({ webhook: ['started', 'completed'], ...row }),
    delivery('msg_1', 'prediction.started'),
    delivery('msg_2', 'prediction.succeeded'),
    books(),
  ]
  return [...whole.filter((entry) => !without(entry)), ...seen, ...stored]
}

/** A row and what was told of it. */
export function ended(change: Partial<PredictionRow> = {}): Entry[] {
  const row: PredictionRow = {
    id: 'pred_1',
    key: 'key-1',
    inputWord: 'word-1',
    outputWord: 'word-1',
    status: 'succeeded',
    attempt: 1,
    errorId: null,
    webhook: null,
    deleted: false,
    created: 10,
    started: 11,
    completed: 12,
    outcomes: 1,
    model: 'paid-echo',
    held: 10_000,
    ...charged(change.status),
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

/** What is paid by how it ends. */
export function charged(status: Status = 'succeeded'): Pick<PredictionRow, 'charged' | 'charges'> {
  return status === 'succeeded' ? { charged: 10_000, charges: [10_000] } : { charged: 0, charges: [] }
}

/** The books as they are after that. */
export function books(change: Partial<Extract<Happening, { is: 'books' }>> = {}): Entry {
  const sums = { balance: 990_000, entries: 990_000, held: 0, holds: 0 }
  return happened({ is: 'books', account: 'acct_1', ...sums, ...change })
}

/** A create that was sent and, unless told otherwise, never answered. */
export function sent({ at = 45, ...change }: Partial<Extract<Entry, { is: 'create' }>> = {}): Entry {
  return {
    is: 'create',
    key: 'key-1',
    word: 'word-1',
    asked: 40,
    body: 'digest',
    status: 0,
    ms: 5,
    ...change,
    at,
  }
}

export function created(change: Partial<Extract<Entry, { is: 'create' }>> = {}): Entry {
  return sent({ status: 201, id: 'pred_1', ...change })
}

/** A create whose input has no word. */
export function wordless(change: Partial<Extract<Entry, { is: 'create' }>>): Entry {
  return { is: 'create', asked: 40, at: 45, key: null, body: 'digest', status: 201, ms: 5, ...change }
}

export function look(shown: Status, { asked, at, word }: Times & { word?: string }): Entry {
  return { is: 'get', asked, at, id: 'pred_1', status: 200, shown, ...wordOf(shown), ...(word && { word }) }
}

/** A look or a cancel whose answer shows no output. */
export function unseen(is: 'get' | 'cancel', status: number, { asked, at }: Times, shown?: Status): Entry {
  return { is, asked, at, id: 'pred_1', status, ms: at - asked, ...(shown && { shown }) }
}

export function cancelled(shown: Status, { asked, at }: Times): Entry {
  return { is: 'cancel', asked, at, id: 'pred_1', status: 200, shown, ...wordOf(shown), ms: at - asked }
}

interface Walked {
  asked?: number
  at?: number
  whole?: boolean
  tag?: string
}

export function walk(ids: string[], { asked = 99, at = 100, whole = true, tag }: Walked = {}): Entry {
  return { is: 'list', asked, at, ids, whole, status: 200, ...(tag && { tag }) }
}

export function webhook(id: string, change: Partial<Extract<Happening, { is: 'webhook' }>> = {}): Entry {
  return {
    is: 'webhook',
    at: 60,
    id,
    prediction: 'pred_1',
    event: 'prediction.succeeded',
    word: 'word-1',
    body: 'digest',
    sound: true,
    answer: 200,
    ...change,
  }
}

export function statusEvent(seq: number, status: Status, attempt: number, id = 'pred_1'): Entry {
  return happened({ is: 'status-event', id, seq, attempt, status })
}

export function otherEvents(...told: Extract<Happening, { is: 'other-events' }>['told']): Entry {
  return happened({ is: 'other-events', id: 'pred_1', told })
}

export function words(word: string): Pick<PredictionRow, 'inputWord' | 'outputWord'> {
  return { inputWord: word, outputWord: word }
}

export function lostWorker(at: number): Entry {
  return happened({ is: 'exit', process: 'worker-1', how: 'SIGKILL', meant: true }, at)
}

/** The change that ends it otherwise, and before it was seen to end. */
export function endedAs(status: 'failed' | 'cancelled'): Change & { row: Partial<PredictionRow> } {
  return {
    row: { status, outputWord: null, webhook: null },
    stored: [statusEvent(4, status, 1)],
    without: (entry) => tellsTheEnd(entry) || isAbout('msg_1')(entry),
  }
}

export function failed(errorId: string): Change {
  const { row, ...change } = endedAs('failed')
  return { ...change, row: { ...row, errorId } }
}

export function delivery(id: string, event: string, change: Partial<DeliveryRow> = {}): Entry {
  const row = {
    id,
    prediction: 'pred_1',
    event,
    state: 'delivered',
    attempt: 1,
    tries: 1,
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

/** An output is there once it has succeeded. */
function wordOf(shown: Status): { word?: string } {
  return shown === 'succeeded' ? { word: 'word-1' } : {}
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
