import { parseDataUrl } from '@millrace/media/data-url'
import fc from 'fast-check'
import { expect, test } from 'vitest'

test.each([
  ['data:image/png;base64,aGVsbG8=', 'image/png', 'hello'],
  ['data:image/png;base64,aGVsbG8', 'image/png', 'hello'],
  ['DATA:image/PNG;BASE64,aGVs\nbG8=', 'image/png', 'hello'],
  ['data:image/png;base64,aGVsbG8%3D', 'image/png', 'hello'],
  ['data:text/plain;charset=utf-8,a%20b%2C,c', 'text/plain;charset=utf-8', 'a b,,c'],
  ['data:,Gr%C3%BC%C3%9Fe', 'text/plain;charset=us-ascii', 'Grüße'],
  ['data:,grün 100%', 'text/plain;charset=us-ascii', 'grün 100%'],
  ['data:;charset=utf-8,x', 'text/plain;charset=utf-8', 'x'],
  ['data:;base64,', 'text/plain;charset=us-ascii', ''],
])('%j is read', (url, contentType, text) => {
  expect(parseDataUrl(url)).toEqual({ contentType, bytes: Buffer.from(text) })
})

test.each([
  '',
  'hello',
  'http://example.com/',
  'data:image/png;base64',
  ' data:,x',
  'data:image/png;base64,aGVs*G8=',
  'data:image/png;base64,aGVsb',
  'data:;base64,a=b=',
])('%j is not a data URL', (url) => {
  expect(parseDataUrl(url)).toBeUndefined()
})

test.each(['data:text/html\r\nx-evil: 1,x', 'data:nonsense,x', 'data:a/b;\u0000=1,x'])(
  'a content type that cannot stand in a header is not kept: %j',
  (url) => {
    expect(parseDataUrl(url)?.contentType).toBe('text/plain;charset=us-ascii')
  },
)

test('any bytes come back as they were, in either spelling', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (given) => {
      const bytes = Buffer.from(given)
      const escaped = Array.from(bytes, (byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
      expect(parseDataUrl(`data:a/b;base64,${bytes.toString('base64')}`)?.bytes).toEqual(bytes)
      expect(parseDataUrl(`data:a/b;base64,${bytes.toString('base64url')}`)?.bytes).toEqual(bytes)
      expect(parseDataUrl(`data:a/b,${escaped}`)?.bytes).toEqual(bytes)
    }),
  )
})

test('what fetch reads from a data URL, we read', async () => {
  for (const url of [
    'data:text/plain,a%zzb%41',
    'data:image/gif;base64,R0lGODlhAQABAAAAACw=',
    'data:text/plain;base64,w6k',
  ]) {
    expect(parseDataUrl(url)?.bytes).toEqual(Buffer.from(await (await fetch(url)).arrayBuffer()))
  }
})

test('a data URL of 10 MB is read at once', () => {
  const bytes = Buffer.alloc(10_000_000, 'millrace')
  expect(
    parseDataUrl(`data:application/octet-stream;base64,${bytes.toString('base64')}`)?.bytes.equals(bytes),
  ).toBe(true)
})
