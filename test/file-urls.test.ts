import { randomBytes } from 'node:crypto'
import { createFileUrls } from '@millrace/storage/file-urls'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

const key = randomBytes(32)
const id = 'file_01h455vb4pex5vsknk084sn02q'
const otherId = 'file_01h455vb4pex5vsknk084sn02r'
const urls = createFileUrls({ publicUrl: 'https://millrace.test', key })

beforeEach(() => itIs('2026-01-01T12:00:00.100Z'))

afterEach(() => {
  vi.restoreAllMocks()
})

test('a signed URL has the documented shape and is ours', () => {
  const url = urls.sign(id, 'a picture.png', 60)
  expect(url).toMatch(
    /^https:\/\/millrace\.test\/files\/file_\w{26}\/a%20picture\.png\?expires=1767268860&signature=[\w-]{43}$/,
  )
  expect(urls.ours(url)).toBe(id)
})

test('it opens until its time and not after', () => {
  const url = urls.sign(id, 'x', 60)
  itIs('2026-01-01T12:00:59.100Z')
  expect(urls.ours(url)).toBe(id)
  itIs('2026-01-01T12:01:00.100Z')
  expect(urls.ours(url)).toBeUndefined()
})

test('no part that matters can be changed', () => {
  const { expires, signature } = partsOf(urls.sign(id, 'x', 60))
  expect(urls.verify(id, expires, signature)).toBe(true)
  expect(urls.verify(otherId, expires, signature)).toBe(false)
  expect(urls.verify(id, String(Number(expires) + 1), signature)).toBe(false)
  expect(urls.verify(id, `0${expires}`, signature)).toBe(false)
  expect(urls.verify(id, expires, signature.slice(1))).toBe(false)
  expect(urls.verify(id, expires, `${signature[0] === 'A' ? 'B' : 'A'}${signature.slice(1)}`)).toBe(false)
  for (const expires of ['', 'NaN', 'Infinity', '-1', '1e12', '9'.repeat(400)]) {
    expect(urls.verify(id, expires, signature), expires).toBe(false)
  }
  expect(urls.verify(id, expires, '')).toBe(false)
})

test('a URL signed with another key is a stranger', () => {
  const others = createFileUrls({ publicUrl: 'https://millrace.test', key: randomBytes(32) })
  expect(urls.ours(others.sign(id, 'x', 60))).toBeUndefined()
})

test.each([
  ['host', (url: string) => url.replace('millrace.test', 'millrace.test.evil')],
  ['scheme', (url: string) => url.replace('https:', 'http:')],
  ['port', (url: string) => url.replace('millrace.test', 'millrace.test:8443')],
  ['path', (url: string) => url.replace('/files/', '/v1/files/')],
  ['file', (url: string) => url.replace(id, otherId)],
  ['signature', (url: string) => url.replace(/&signature=.*/, '')],
])('with another %s it is not ours', (_part, change) => {
  const url = urls.sign(id, 'x', 60)
  expect(change(url)).not.toBe(url)
  expect(urls.ours(change(url))).toBeUndefined()
})

test('what is no URL is not ours', () => {
  for (const text of ['', 'nonsense', 'data:,x', 'https://millrace.test/files/'])
    expect(urls.ours(text)).toBeUndefined()
})

test('a public URL with a path and a trailing slash works', () => {
  const behind = createFileUrls({ publicUrl: 'https://example.test/millrace/', key })
  const url = behind.sign(id, 'x.png', 60)
  expect(url.startsWith(`https://example.test/millrace/files/${id}/x.png?`)).toBe(true)
  expect(behind.ours(url)).toBe(id)
})

test('a name cannot leave its place in the path', () => {
  const url = urls.sign(id, '../../v1?x=#/è', 60)
  expect(new URL(url).pathname).toBe(`/files/${id}/..%2F..%2Fv1%3Fx%3D%23%2F%C3%A8`)
  expect(urls.ours(url)).toBe(id)
})

function partsOf(url: string): { expires: string; signature: string } {
  const { searchParams } = new URL(url)
  return { expires: searchParams.get('expires') ?? '', signature: searchParams.get('signature') ?? '' }
}

/** By the monotonic clock, which is the one that the URLs are dated by. */
function itIs(time: string): void {
  vi.spyOn(performance, 'now').mockReturnValue(Date.parse(time) - performance.timeOrigin)
}
