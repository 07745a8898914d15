import { createLogNews, percentIn } from '@millrace/providers/remote/job-log'
import { expect, test } from 'vitest'

test('of a log that comes whole each time only what is new is told', () => {
  const newsOf = createLogNews()
  expect(['a\n', 'a\n', 'a\nb\n'].map(newsOf)).toEqual(['a\n', '', 'b\n'])
})

test('a log that its host cut at its start is not told again', () => {
  const newsOf = createLogNews()
  const log = Array.from({ length: 100 }, (_, n) => `line ${n}\n`).join('')
  newsOf(log)
  expect(newsOf(`${log.slice(300)}and more\n`)).toBe('and more\n')
})

test.each([
  [' 45%|####     | 9/20\r 50%|#####    | 10/20', 50],
  ['100%|#########| 20/20', 100],
  ['x240%|', undefined],
  ['half of it', undefined],
])('%j is %j percent', (text, percent) => {
  expect(percentIn(text)).toBe(percent)
})
