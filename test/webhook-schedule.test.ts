import { nextAttempt, schedule } from '@millrace/webhooks/schedule'
import { expect, test } from 'vitest'

const promised = [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
const middle = () => 0.5

test('the schedule is the promised one', () => {
  expect(schedule).toEqual(promised)
  expect(promised.map((_, made) => nextAttempt(made, { random: middle }))).toEqual(promised)
})

test('after the tenth attempt there is none', () => {
  expect(nextAttempt(9)).toBeDefined()
  expect(nextAttempt(10)).toBeUndefined()
  expect(nextAttempt(10, { retryAfterSeconds: 60 })).toBeUndefined()
})

test('the jitter spreads each wait by a fifth to either side', () => {
  expect(nextAttempt(2, { random: () => 0 })).toBeCloseTo(240)
  expect(nextAttempt(2, { random: () => 1 })).toBeCloseTo(360)
  const drawn = new Set(Array.from({ length: 50 }, () => nextAttempt(2)))
  expect(drawn.size).toBeGreaterThan(25)
})

test('Retry-After delays the next attempt', () => {
  expect(nextAttempt(2, { retryAfterSeconds: 420, random: middle })).toBe(420)
})

test('Retry-After delays to at most the double of the step', () => {
  expect(nextAttempt(1, { retryAfterSeconds: 3_600, random: middle })).toBe(10)
  expect(nextAttempt(9, { retryAfterSeconds: 1e9, random: middle })).toBe(172_800)
})

test('Retry-After never brings an attempt forward', () => {
  expect(nextAttempt(4, { retryAfterSeconds: 1, random: middle })).toBe(7_200)
})
