import { createBreaker } from '@millrace/dispatcher/breaker'
import { beforeEach, expect, test } from 'vitest'

let time: number
let breaker: ReturnType<typeof createBreaker>

beforeEach(() => {
  time = 1_000_000
  breaker = createBreaker(() => time)
})

test('a host that stays silent ten times in a row gets a rest, then a single try', () => {
  silence(9)
  expect(breaker.hosts()).toEqual({ open: [], halfOpen: [] })
  silence(1)
  expect(breaker.hosts()).toEqual({ open: ['a.test'], halfOpen: [] })
  time += 5_001
  expect(breaker.hosts()).toEqual({ open: [], halfOpen: ['a.test'] })
})

test('any answer opens the host for everybody again', () => {
  silence(10)
  time += 5_001
  breaker.report('a.test', true)
  expect(breaker.hosts()).toEqual({ open: [], halfOpen: [] })
  silence(9)
  expect(breaker.hosts()).toEqual({ open: [], halfOpen: [] })
})

test('each try in vain doubles the rest, to a minute at most', () => {
  silence(10)
  for (const rest of [5, 10, 20, 40, 60, 60]) {
    time += rest * 1000 - 1
    expect(breaker.hosts().open).toEqual(['a.test'])
    time += 2
    expect(breaker.hosts().halfOpen).toEqual(['a.test'])
    silence(1)
  }
})

test('what was under way when it opened does not prolong the rest', () => {
  silence(30)
  time += 5_001
  expect(breaker.hosts().halfOpen).toEqual(['a.test'])
})

function silence(times: number): void {
  for (let count = 0; count < times; count++) breaker.report('a.test', false)
}
