import { answerReader } from '@millrace/bench/gateway/answer-reader'
import { stampReader } from '@millrace/bench/gateway/clock'
import { expect, test } from 'vitest'

const answers = {
  'with a length': 'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello\r\nyou!',
  'in chunks':
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nhello\r\r\n5\r\n\nyou!\r\n0\r\n\r\n',
}

test.each(Object.entries(answers))('an answer %s reads the same wherever the socket cuts it', (_, answer) => {
  for (let first = 1; first < answer.length; first++) {
    for (let second = first; second < answer.length; second++) {
      let body = ''
      const reader = answerReader((text) => {
        body += text
      })
      const pieces = [answer.slice(0, first), answer.slice(first, second), answer.slice(second)]
      const whole = pieces.map((piece) => reader.read(piece))
      expect({ body, whole, status: reader.status() }, `cut at ${first} and ${second}`).toEqual({
        body: 'hello\r\nyou!',
        whole: [false, false, true],
        status: 200,
      })
    }
  }
})

test('each stamp of a text is found once, in whatever pieces it comes', () => {
  const text = 'a @0000000000001000@ and @0000000000002500@, no @12@ more'
  for (let first = 0; first < text.length; first++) {
    for (let second = first; second < text.length; second++) {
      const stamps = stampReader()
      const pieces = [text.slice(0, first), text.slice(first, second), text.slice(second)]
      expect(pieces.flatMap((piece) => stamps.read(piece))).toEqual([1, 2.5])
    }
  }
})
