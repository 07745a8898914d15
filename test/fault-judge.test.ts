import { describe, expect, test } from 'vitest'
import { figuresOf } from './faults/figures.ts'
import type { Entry } from './faults/history.ts'
import { judge, promises } from './faults/judge.ts'
import {
  books,
  cancelled,
  created,
  delivery,
  ended,
  endedAs,
  failed,
  happened,
  history,
  isAbout,
  look,
  lostWorker,
  otherEvents,
  sent,
  statusEvent,
  tellsTheEnd,
  unseen,
  walk,
  webhook,
  wordless,
  words,
} from './given-history.ts'

test('a history in which all promises held is judged sound', () => {
  expect(judge(history())).toEqual([])
})

/** What breaks each promise: the sound history with something else in it. */
const breaches: Record<string, Record<string, Entry[]>> = {
  'every accepted create has exactly one row': {
    'an accepted create without a row': history({ seen: [created({ id: 'pred_9', key: 'key-9' })] }),
    'an accepted create that names no prediction': history({
      seen: [sent({ status: 201, key: 'key-9' })],
    }),
    'a missing row whose delete was refused': history({
      seen: [
        created({ id: 'pred_9', key: 'key-9' }),
        happened({ is: 'delete', asked: 70, id: 'pred_9', status: 404 }, 71),
      ],
    }),
    'a create without a key that was answered and has no row': history({
      seen: [created({ id: 'pred_9', key: null, word: 'word-9' })],
    }),
    'two rows of one create without a key': history({
      seen: [sent({ key: null, word: 'word-9' })],
      stored: [
        ...ended({ id: 'pred_2', key: null, ...words('word-9') }),
        ...ended({ id: 'pred_3', key: null, ...words('word-9') }),
      ],
    }),
  },
  'one idempotency key is one prediction': {
    'two ids for one key': history({
      seen: [created({ id: 'pred_2', asked: 40, at: 41, replayed: true })],
      stored: [...ended({ id: 'pred_2', key: null })],
    }),
    'two rows for one key': history({ stored: ended({ id: 'pred_2' }) }),
    'a row for a key that nobody sent': history({ stored: ended({ id: 'pred_2', key: 'key-2' }) }),
    'a row without a key that nobody was told of': history({ stored: ended({ id: 'pred_2', key: null }) }),
    'a row without a key for a word that only a key was sent with': history({
      stored: ended({ id: 'pred_2', key: null, ...words('word-1') }),
    }),
    'an answer with the prediction of another key': history({
      seen: [created({ key: 'key-2', asked: 40, at: 41, replayed: true }), sent({ key: 'key-2', asked: 30 })],
    }),
  },
  'the creates under one key happened in one order': {
    'an answer before anybody asked': history({
      seen: [created({ asked: 1, at: 2, replayed: true })],
    }),
    'two first answers': history({ seen: [created({ asked: 30, at: 31 })] }),
  },
  'what was accepted can be read': {
    'a look that finds nothing': history({ seen: [unseen('get', 404, { asked: 80, at: 81 })] }),
    'a cancel that finds nothing': history({ seen: [unseen('cancel', 404, { asked: 80, at: 81 })] }),
    'a look that finds nothing before it was deleted': history({
      seen: [
        unseen('get', 404, { asked: 80, at: 81 }),
        happened({ is: 'delete', asked: 90, id: 'pred_1', status: 200 }, 91),
      ],
      row: { deleted: true },
    }),
  },
  'statuses only move forward': {
    'a look that shows less than an earlier one': history({
      seen: [look('processing', { asked: 50, at: 51 }), look('starting', { asked: 52, at: 53 })],
    }),
    'an end that was shown and taken back': history({
      seen: [look('succeeded', { asked: 50, at: 51 }), look('processing', { asked: 52, at: 53 })],
    }),
    'a cancel that was shown less': history({
      seen: [look('processing', { asked: 50, at: 51 }), cancelled('pending', { asked: 52, at: 53 })],
    }),
    'an event that goes back': history({
      stored: [statusEvent(5, 'starting', 2), statusEvent(6, 'succeeded', 2)],
      row: { attempt: 2 },
      without: (entry) => entry.is === 'status-event' && entry.status === 'succeeded',
    }),
    'a start that is told twice': history({ stored: [statusEvent(3.5, 'processing', 1)] }),
  },
  'what was shown at the end is the end': {
    'another end than was shown': history({ seen: [look('failed', { asked: 90, at: 91 })] }),
    'two ends shown, of which one is the row': history({
      seen: [look('succeeded', { asked: 90, at: 91 }), look('cancelled', { asked: 92, at: 93 })],
    }),
    'a cancel that was confirmed and did not last': history({
      seen: [cancelled('cancelled', { asked: 90, at: 91 })],
    }),
  },
  'attempts rise, and stale ones write nothing': {
    'an event of an earlier attempt after a later one': history({
      row: { attempt: 2 },
      stored: [statusEvent(2.5, 'starting', 2)],
    }),
    'an event of an earlier attempt between those of a later one': history({
      row: { attempt: 2 },
      stored: [statusEvent(2.5, 'starting', 2), statusEvent(5, 'succeeded', 2)],
      without: (entry) => entry.is === 'status-event' && entry.status === 'succeeded',
    }),
    'an attempt that the row of an unfinished one does not know': history({
      row: { status: 'processing', completed: null, outcomes: 0, attempt: 0 },
      without: tellsTheEnd,
    }),
    'an end by an attempt that was over': history({ row: { attempt: 2 } }),
    'an output of an earlier attempt after a later one': history({
      row: { attempt: 2 },
      stored: [
        statusEvent(3.2, 'processing', 2),
        otherEvents([3.1, 1, 'output'], [3.3, 1, 'output'], [3.4, 2, 'output']),
        statusEvent(5, 'succeeded', 2),
      ],
      without: (entry) => entry.is === 'status-event' && entry.status === 'succeeded',
    }),
    'progress of an earlier attempt after a later one': history({
      row: { attempt: 2 },
      stored: [
        statusEvent(3.2, 'processing', 2),
        otherEvents([3.1, 1, 'progress'], [3.3, 1, 'progress']),
        statusEvent(5, 'succeeded', 2),
      ],
      without: (entry) => entry.is === 'status-event' && entry.status === 'succeeded',
    }),
    'a log of a later attempt than the row knows': history({ stored: [otherEvents([5, 2, 'log'])] }),
    'an attempt that the row does not know': history({ row: { attempt: 0 } }),
  },
  'created, started and completed are in order': {
    'started before it was created': history({ row: { started: 9 } }),
    'completed before it was started': history({ row: { completed: 10.5 } }),
    'completed before it was created, without a start': history({
      row: { started: null, completed: 9 },
    }),
  },
  'every prediction ends': {
    'a prediction that goes on for ever': history({
      row: { status: 'processing', completed: null, outcomes: 0 },
      without: tellsTheEnd,
    }),
    'a run that was left over': history({
      stored: [happened({ is: 'leftover', what: 'pred_1 still has a run' })],
    }),
  },
  'nothing that could be run waits for long without an owner': {
    'a run that nobody took': history({ seen: [happened({ is: 'ownerless', id: 'pred_1', ms: 8_000 })] }),
  },
  'there is one end, told once': {
    'an end that was never told': history({
      without: (entry) => entry.is === 'status-event' && entry.status === 'succeeded',
    }),
    'an end that was told twice': history({ stored: [statusEvent(5, 'failed', 1)] }),
    'an end that was told of one that goes on': history({
      row: { status: 'processing', completed: null, outcomes: 0 },
      without: (entry) => entry.is !== 'status-event' && tellsTheEnd(entry),
    }),
    'no outcome': history({ row: { outcomes: 0 } }),
    'two outcomes': history({ row: { outcomes: 2 } }),
  },
  'what can succeed succeeds': {
    'a failure that nobody asked for': history(failed('MODEL_ERROR')),
    'a time-out where the input left time enough': history(failed('RUN_TIMEOUT')),
    'the loss of three workers where one was lost': history({
      ...failed('WORKER_LOST'),
      seen: [1, 2].map((nth) => lostWorker(11_000 + nth)),
    }),
    'the loss of workers before it was created': history({
      ...failed('WORKER_LOST'),
      seen: [1, 2, 3].map((nth) => lostWorker(9_000 + nth)),
    }),
    'a failure that was asked for under another key': history({
      ...failed('MODEL_ERROR'),
      seen: [sent({ key: 'key-2', mayFail: true })],
    }),
    'a cancel that nobody asked for': history(endedAs('cancelled')),
    'a cancel although only a delete was asked for, and refused': history({
      ...endedAs('cancelled'),
      seen: [happened({ is: 'delete', asked: 70, id: 'pred_1', status: 404 }, 71)],
    }),
  },
  'what comes out is what went in': {
    'the output of another': history({ row: { outputWord: 'word-2' } }),
    'no output': history({ row: { outputWord: null } }),
    'the input of another': history({ row: words('word-2') }),
    'an answer with the prediction of another': history({
      seen: [created({ key: 'key-2', word: 'word-2' })],
    }),
    'a look at the output of another': history({
      seen: [look('succeeded', { asked: 95, at: 96, word: 'word-2' })],
    }),
    'a look at no output': history({ seen: [unseen('get', 200, { asked: 95, at: 96 }, 'succeeded')] }),
    'a webhook with the output of another': history({ seen: [webhook('msg_2', { word: 'word-2' })] }),
  },
  'every event that was asked for has its webhook': {
    'an end without a delivery': history({ without: isAbout('msg_2') }),
    'a start without a delivery': history({ without: isAbout('msg_1') }),
    'two deliveries of one event': history({
      seen: [webhook('msg_9')],
      stored: [delivery('msg_9', 'prediction.succeeded')],
    }),
    'an event that never happened': history({
      seen: [webhook('msg_9')],
      stored: [delivery('msg_9', 'prediction.failed')],
    }),
    'a create without a delivery, which was asked for': history({
      row: { webhook: ['*', 'prediction.created'] },
    }),
    'a claim without a delivery, which was asked for': history({
      row: { webhook: ['*', 'prediction.starting'] },
    }),
    'an event that the account asked for without a delivery': history({
      seen: [happened({ is: 'endpoint', id: 'whe_1', events: ['prediction.created'] })],
    }),
    'two deliveries of an event that the account asked for': history({
      seen: [
        happened({ is: 'endpoint', id: 'whe_1', events: ['prediction.succeeded'] }),
        webhook('msg_8'),
        webhook('msg_9'),
      ],
      stored: ['msg_8', 'msg_9'].map((id) => delivery(id, 'prediction.succeeded', { endpoint: 'whe_1' })),
    }),
    'a delivery that waits': history({ stored: [delivery('msg_9', 'prediction.created', { state: 'due' })] }),
    'a delivery that is under way': history({
      stored: [delivery('msg_9', 'prediction.created', { state: 'sending' })],
    }),
  },
  'a delivery ends as the receiver answered': {
    'delivered and never received': history({
      without: (entry) => entry.is === 'webhook' && entry.id === 'msg_2',
    }),
    'delivered and never taken': history({
      seen: [webhook('msg_2', { answer: 500 })],
      without: (entry) => entry.is === 'webhook' && entry.id === 'msg_2',
    }),
    'given up too early': history({
      stored: [delivery('msg_9', 'prediction.created', { state: 'exhausted', attempt: 10, tries: 3 })],
    }),
    'dropped although nobody said 410': history({
      stored: [delivery('msg_9', 'prediction.created', { state: 'dropped', attempt: 1 })],
    }),
    'dropped because of a 410 at another address': history({
      seen: [webhook('msg_8', { answer: 410 })],
      stored: [
        delivery('msg_8', 'prediction.created', { state: 'dropped', url: 'http://there/' }),
        delivery('msg_9', 'prediction.starting', { state: 'dropped' }),
      ],
    }),
    "dropped because of somebody else's 410": history({
      seen: [webhook('msg_8', { answer: 410 })],
      stored: [
        delivery('msg_8', 'prediction.created', { state: 'dropped', url: 'http://there/' }),
        delivery('msg_9', 'prediction.created', { state: 'dropped', endpoint: 'we_1' }),
      ],
    }),
  },
  'a webhook id always has the same body, soundly signed': {
    'two bodies': history({ seen: [webhook('msg_2', { body: 'other' })] }),
    'a wrong signature': history({ seen: [webhook('msg_2', { sound: false })] }),
    'an id that no delivery has': history({ seen: [webhook('msg_9')] }),
    'another event than the delivery has': history({
      seen: [webhook('msg_2', { event: 'prediction.failed' })],
    }),
    'another prediction than the delivery has': history({
      seen: [webhook('msg_2', { prediction: 'pred_2' })],
    }),
  },
  'what succeeds is paid once, and nothing else is paid': {
    'an output that nobody paid for': history({ row: { charged: 0, charges: [] } }),
    'a failure that was paid for': history({
      ...failed('MODEL_ERROR'),
      row: { ...failed('MODEL_ERROR').row, charged: 10_000, charges: [10_000] },
    }),
    'an output that was paid for twice': history({ row: { charges: [10_000, 10_000] } }),
    'a charge that is in no ledger': history({ row: { charges: [] } }),
    'a row for which too little was set aside': history({ row: { held: 9_999 } }),
    'a charge of another amount': history({ row: { charged: 9_999, charges: [9_999] } }),
  },
  'the books add up': {
    'a balance that its entries do not explain': history({ seen: [books({ balance: 980_000 })] }),
    'money that is set aside for nothing': history({ seen: [books({ held: 10_000 })] }),
    'a run without what was set aside for it': history({ seen: [books({ holds: 10_000 })] }),
  },
  'a walk through the list shows each row once': {
    'a row that is missing': history({ seen: [walk([])] }),
    'a row that comes twice': history({ seen: [walk(['pred_1', 'pred_1'])] }),
    'rows that are out of order': history({ seen: [walk(['pred_1', 'pred_3'])] }),
    'a row that was deleted before': history({
      seen: [
        happened({ is: 'delete', asked: 70, id: 'pred_1', status: 200 }, 71),
        walk(['pred_1'], { asked: 80, at: 81 }),
      ],
      row: { deleted: true },
    }),
    'a row that is missing from the part that was walked': history({
      seen: [walk(['pred_3', 'pred_0'], { whole: false })],
    }),
    'a row of the team that is missing': history({
      seen: [
        created({ id: 'pred_2', key: 'key-2', tag: 'red', asked: 50, at: 51 }),
        walk([], { tag: 'red' }),
      ],
      stored: ended({ id: 'pred_2', key: 'key-2' }),
    }),
    'a row of another team': history({
      seen: [
        created({ id: 'pred_2', key: 'key-2', tag: 'red', asked: 50, at: 51 }),
        walk(['pred_2'], { tag: 'blue' }),
      ],
      stored: ended({ id: 'pred_2', key: 'key-2' }),
    }),
  },
  'what fails for now is a 503 that says when to ask again': {
    'a 503 without a time': history({ seen: [sent({ status: 503, retryAfter: false })] }),
    'a 500': history({ seen: [sent({ status: 500, retryAfter: true })] }),
    'a look that is answered 500': history({ seen: [unseen('get', 500, { asked: 80, at: 81 })] }),
    'a cancel that is answered 500': history({ seen: [unseen('cancel', 500, { asked: 80, at: 81 })] }),
    'a delete that is answered 503 without a time': history({
      seen: [happened({ is: 'delete', asked: 70, id: 'pred_1', status: 503, retryAfter: false }, 71)],
    }),
    'a page of the list that is answered 500': history({
      seen: [happened({ is: 'list', asked: 70, ids: [], whole: false, status: 500, retryAfter: false }, 71)],
    }),
  },
  'no secret is told': {
    'a secret in a log': history({
      seen: [happened({ is: 'leak', where: 'the log', secret: 'the api key' })],
    }),
  },
}

describe.each(Object.entries(breaches))('"%s" is broken by', (promise, histories) => {
  test.each(Object.entries(histories))('%s', (_what, entries) => {
    const broken = new Set(judge(entries).map((breach) => breach.slice(0, breach.indexOf(': '))))
    expect([...broken]).toContain(promise)
  })
})

test('each promise has something that breaks it', () => {
  expect(Object.keys(breaches)).toEqual(Object.keys(promises))
})

describe('the figures of a history tell', () => {
  test('what was created, done, sent and waited for', () => {
    const quiet = happened({ is: 'quiet', ms: 1_234 })
    expect(
      figuresOf(history({ stored: [happened({ is: 'fault', what: 'kill -9 of an api' }), quiet] })),
    ).toEqual({
      predictions: 1,
      faults: 1,
      webhooks: 2,
      losses: 0,
      repeats: 0,
      reruns: 0,
      recovery: 1_234,
    })
  })

  test('a prediction that has no row or goes on as lost, and none that was deleted', () => {
    const lost = [created({ id: 'pred_2', key: 'key-2' }), created({ id: 'pred_3', key: 'key-3' })]
    const gone = created({ id: 'pred_4', key: 'key-4' })
    const deleted = happened({ is: 'delete', asked: 70, id: 'pred_4', status: 200 }, 71)
    const goesOn = ended({ id: 'pred_3', key: 'key-3', status: 'processing', completed: null })
    const entries = history({ seen: [...lost, ...lost, gone, deleted], stored: goesOn })
    expect(figuresOf(entries)).toMatchObject({ predictions: 4, losses: 2 })
  })

  test('every copy of a webhook beyond its first, and every attempt beyond the first', () => {
    const entries = history({ seen: [webhook('msg_2'), webhook('msg_2')], row: { attempt: 3 } })
    expect(figuresOf(entries)).toMatchObject({ webhooks: 4, repeats: 2, reruns: 2 })
  })

  test('the longest recovery from a fault, and not what was waited for before it', () => {
    const waits = [9_000, 20, 300, 10].map((ms) => happened({ is: 'quiet', ms }))
    const entries = waits.toSpliced(1, 0, happened({ is: 'fault', what: 'kill -9 of an api' }))
    expect(figuresOf(entries)).toMatchObject({ recovery: 300 })
  })

  test('nothing of rows that nobody looked at', () => {
    expect(figuresOf([created()])).toEqual({ predictions: 1, faults: 0, webhooks: 0, repeats: 0 })
  })
})

describe('no promise is broken by', () => {
  const sound: Record<string, Entry[]> = {
    'a create that was refused': history({
      seen: [sent({ key: 'key-2', status: 429, error: 'RATE_LIMITED' })],
    }),
    'a create that is told to come again': history({
      seen: [sent({ key: 'key-2', status: 503, retryAfter: true })],
    }),
    'a prediction that was made although its client never heard': history({
      seen: [sent({ key: 'key-2' })],
      stored: ended({ id: 'pred_2', key: 'key-2' }),
    }),
    'a create without a key that was answered, and one that made nothing': history({
      seen: [
        created({ id: 'pred_2', key: null, word: 'word-2', asked: 100, at: 105 }),
        sent({ key: null, word: 'word-3' }),
        sent({ key: null, word: 'word-4' }),
      ],
      stored: [
        ...ended({ id: 'pred_2', key: null, ...words('word-2') }),
        ...ended({ id: 'pred_4', key: null, ...words('word-4') }),
      ],
    }),
    'an input without a word, from which nothing of the kind is made': history({
      seen: [wordless({ id: 'pred_2', key: 'key-2', asked: 100, at: 105 })],
      stored: ended({ id: 'pred_2', key: 'key-2', inputWord: null, outputWord: null }),
    }),
    'a failure that was asked for': history({
      ...failed('MODEL_ERROR'),
      seen: [created({ mayFail: true, replayed: true })],
    }),
    'a failure after three workers were lost': history({
      ...failed('WORKER_LOST'),
      seen: [
        lostWorker(11_001),
        happened({ is: 'fault', what: 'SIGSTOP worker-1' }, 11_002),
        lostWorker(11_003),
      ],
    }),
    'a cancel that was asked for': history({
      ...endedAs('cancelled'),
      seen: [unseen('cancel', 0, { asked: 80, at: 81 })],
    }),
    'a cancel by a delete': history({
      ...endedAs('cancelled'),
      seen: [happened({ is: 'delete', asked: 110, id: 'pred_1', status: 200 }, 111)],
      row: { ...endedAs('cancelled').row, deleted: true },
    }),
    'a look that is told to come again, and a walk that was not answered': history({
      seen: [
        happened({ is: 'get', asked: 80, id: 'pred_1', status: 503, retryAfter: true }),
        happened({ is: 'list', asked: 80, ids: [], whole: false, status: 0 }),
      ],
    }),
    'a look that finds nothing after it was deleted': history({
      seen: [
        happened({ is: 'delete', asked: 99, id: 'pred_1', status: 0 }, 110),
        unseen('get', 404, { asked: 120, at: 121 }),
      ],
      row: { deleted: true },
    }),
    'outputs and logs of one attempt after the other': history({
      row: { attempt: 2 },
      stored: [
        otherEvents([3.1, 1, 'output'], [3.2, 1, 'log'], [3.4, 2, 'log'], [3.5, 2, 'output']),
        statusEvent(3.3, 'processing', 2),
        statusEvent(5, 'succeeded', 2),
      ],
      without: (entry) => entry.is === 'status-event' && entry.status === 'succeeded',
    }),
    'an endpoint that got what the account asked for': history({
      seen: [
        happened({ is: 'endpoint', id: 'whe_1', events: ['prediction.created', 'prediction.failed'] }),
        webhook('msg_9', { event: 'prediction.created' }),
      ],
      stored: [delivery('msg_9', 'prediction.created', { endpoint: 'whe_1' })],
    }),
    'a look that began before a later status was shown': history({
      seen: [look('succeeded', { asked: 50, at: 60 }), look('processing', { asked: 49, at: 61 })],
    }),
    'a re-run': history({
      row: { attempt: 2 },
      stored: [statusEvent(3.5, 'processing', 2), statusEvent(5, 'succeeded', 2)],
      without: (entry) => entry.is === 'status-event' && entry.status === 'succeeded',
    }),
    'a webhook that came again': history({ seen: [webhook('msg_2', { answer: 0 })] }),
    'a receiver that has gone': history({
      seen: [webhook('msg_9', { event: 'prediction.created', answer: 410 })],
      stored: [delivery('msg_9', 'prediction.created', { state: 'dropped' })],
    }),
    'a receiver that never answers': history({
      seen: [webhook('msg_9', { event: 'prediction.created', answer: 0 })],
      stored: [delivery('msg_9', 'prediction.created', { state: 'exhausted', attempt: 11, tries: 10 })],
    }),
    'a webhook that was asked for the end only': history({
      row: { webhook: ['completed'] },
      without: isAbout('msg_1'),
    }),
    'an endpoint that gets what the prediction gets': history({
      seen: [webhook('msg_9')],
      stored: [delivery('msg_9', 'prediction.succeeded', { endpoint: 'we_1' })],
    }),
    'a row that was deleted during a walk': history({
      seen: [
        happened({ is: 'delete', asked: 70, id: 'pred_1', status: 200 }, 75),
        walk([], { asked: 60, at: 72 }),
      ],
      row: { deleted: true, outcomes: 0 },
      without: (entry) => entry.is === 'list',
    }),
    'a row that came during a walk': history({
      seen: [created({ id: 'pred_2', key: 'key-2', asked: 98, at: 102 }), walk(['pred_1'])],
      stored: ended({ id: 'pred_2', key: 'key-2' }),
    }),
    'a walk of one team': history({
      seen: [
        created({ id: 'pred_2', key: 'key-2', tag: 'red', asked: 50, at: 51 }),
        walk(['pred_2'], { tag: 'red' }),
        walk([], { tag: 'blue' }),
      ],
      stored: ended({ id: 'pred_2', key: 'key-2' }),
      without: (entry) => entry.is === 'list' && entry.tag === undefined,
    }),
    'a row that was deleted after a walk, with its webhooks': history({
      seen: [happened({ is: 'delete', asked: 150, id: 'pred_1', status: 200 }, 151)],
      row: { deleted: true },
      without: (entry) => isAbout('msg_1')(entry) || isAbout('msg_2')(entry),
    }),
    'a row that was purged with its webhooks, since it was deleted': history({
      seen: [happened({ is: 'delete', asked: 150, id: 'pred_1', status: 0 }, 151)],
      without: ({ is }) => is === 'prediction' || is === 'status-event' || is === 'delivery',
    }),
    'a walk that was broken off before the row': history({ seen: [walk(['pred_3'], { whole: false })] }),
  }
  test.each(Object.entries(sound))('%s', (_what, entries) => {
    expect(judge(entries)).toEqual([])
  })
})
