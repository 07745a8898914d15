import { describe, expect, test } from 'vitest'
import type { Entry } from './faults/history.ts'
import { judge, promises } from './faults/judge.ts'
import {
  cancelled,
  created,
  delivery,
  ended,
  happened,
  history,
  isAbout,
  look,
  sent,
  statusEvent,
  tellsTheEnd,
  walk,
  webhook,
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
  },
  'one idempotency key is one prediction': {
    'two ids for one key': history({
      seen: [created({ id: 'pred_2', asked: 40, at: 41, replayed: true })],
      stored: [...ended({ id: 'pred_2', key: null })],
    }),
    'two rows for one key': history({ stored: ended({ id: 'pred_2' }) }),
    'a row for a key that nobody sent': history({ stored: ended({ id: 'pred_2', key: 'key-2' }) }),
    'a row without a key that nobody was told of': history({ stored: ended({ id: 'pred_2', key: null }) }),
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
  'every prediction ends': {
    'a prediction that goes on for ever': history({
      row: { status: 'processing', completed: null, outcomes: 0 },
      without: tellsTheEnd,
    }),
    'a run that was left over': history({
      stored: [happened({ is: 'leftover', what: 'pred_1 still has a run' })],
    }),
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
    'an attempt that the row does not know': history({ row: { attempt: 0 } }),
  },
  'created, started and completed are in order': {
    'started before it was created': history({ row: { started: 9 } }),
    'completed before it was started': history({ row: { completed: 10.5 } }),
    'completed before it was created, without a start': history({
      row: { started: null, completed: 9 },
    }),
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
      stored: [delivery('msg_9', 'prediction.created', { state: 'exhausted', attempt: 3 })],
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
  },
  'what fails for now is a 503 that says when to ask again': {
    'a 503 without a time': history({ seen: [sent({ status: 503, retryAfter: false })] }),
    'a 500': history({ seen: [sent({ status: 500, retryAfter: true })] }),
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
      seen: [webhook('msg_9', { answer: 410 })],
      stored: [delivery('msg_9', 'prediction.created', { state: 'dropped' })],
    }),
    'a receiver that never answers': history({
      seen: [webhook('msg_9', { answer: 0 })],
      stored: [delivery('msg_9', 'prediction.created', { state: 'exhausted', attempt: 10 })],
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
