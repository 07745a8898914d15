import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { disorderIn, type KeyAnswer, type KeyCall } from './faults/key-register.ts'

describe('creates under one idempotency key, as the fault runs judge them', () => {
  test.each<[string, KeyCall[]]>([
    ['a first answer and its replay', [call('a', 0, 2, first('1')), call('a', 3, 4, again('1'))]],
    ['a replay that overtakes the first answer', [call('a', 0, 9, first('1')), call('a', 1, 2, again('1'))]],
    [
      'a replay of a create that was never answered',
      [call('a', 0, 1, 'unknown'), call('a', 5, 6, again('1'))],
    ],
    [
      'a refusal because of one that was never answered',
      [call('a', 0, 1, 'unknown'), call('b', 5, 6, 'reused')],
    ],
    ['a 409 beside the first', [call('a', 0, 5, first('1')), call('a', 1, 4, 'in-progress')]],
  ])('%s are in order', (_, calls) => {
    expect(disorderIn(calls)).toBeUndefined()
  })

  test.each<[string, KeyCall[]]>([
    ['two predictions', [call('a', 0, 1, first('1')), call('a', 2, 3, again('2'))]],
    ['two first answers', [call('a', 0, 5, first('1')), call('a', 1, 6, first('1'))]],
    ['two accepted bodies', [call('a', 0, 1, first('1')), call('b', 2, 3, again('1'))]],
    ['a refusal of the accepted body', [call('a', 0, 1, first('1')), call('a', 2, 3, 'reused')]],
    ['a refusal before anybody asked', [call('b', 0, 1, 'reused'), call('a', 2, 3, first('1'))]],
    ['a replay before the first began', [call('a', 0, 1, again('1')), call('a', 2, 3, first('1'))]],
    ['a replay of nothing', [call('a', 0, 1, again('1'))]],
    ['a 409 beside nobody', [call('a', 0, 1, first('1')), call('a', 2, 3, 'in-progress')]],
  ])('%s are out of order', (_, calls) => {
    expect(disorderIn(calls)).toBeDefined()
  })

  test('agrees with trying every order', () => {
    fc.assert(
      fc.property(fc.array(anyCall, { maxLength: 5 }), (calls) => {
        expect(disorderIn(calls) === undefined).toBe(someOrderExplains(calls))
      }),
      { numRuns: 5_000 },
    )
  })
})

/** The search of Wing and Gong: puts a call first that no other ended before, asks the register, goes on with the rest. */
function someOrderExplains(left: KeyCall[], held?: Held): boolean {
  const answered = left.filter(({ answer }) => answer !== 'unknown')
  if (answered.length === 0) return true
  const soonest = Math.min(...answered.map(({ end }) => end))
  return left
    .filter(({ start }) => start <= soonest)
    .some((next) => {
      const rest = left.filter((one) => one !== next)
      return after(next, held).some((state) => someOrderExplains(rest, state))
    })
}

/** What the register may hold after a call that was answered so; nothing when it would not have answered so. */
function after({ body, answer }: KeyCall, held?: Held): (Held | undefined)[] {
  if (answer === 'unknown') return held ? [held] : [undefined, { body }]
  if (answer === 'reused') return held && held.body !== body ? [held] : []
  if (typeof answer === 'string') return [held]
  const { id, replayed } = answer
  if (!replayed) return held ? [] : [{ body, id }]
  return held?.body === body && (held.id === undefined || held.id === id) ? [{ body, id }] : []
}

const anyAnswer = fc.oneof(
  fc.record({ id: fc.constantFrom('1', '2'), replayed: fc.boolean() }),
  fc.constantFrom<KeyAnswer>('reused', 'refused', 'unknown'),
)

const anyCall = fc
  .record({
    body: fc.constantFrom('a', 'b'),
    start: fc.nat(6),
    takes: fc.nat(4),
    answer: anyAnswer,
  })
  .map(({ body, start, takes, answer }) => call(body, start, start + takes, answer))

function call(body: string, start: number, end: number, answer: KeyAnswer): KeyCall {
  return { body, start, end, answer }
}

function first(id: string): KeyAnswer {
  return { id, replayed: false }
}

function again(id: string): KeyAnswer {
  return { id, replayed: true }
}

/** `id` is open where the create that wrote it was never answered. */
interface Held {
  body: string
  id?: string
}
