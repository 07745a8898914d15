import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { type Service, startService } from './harness/service.ts'

let service: Service
let call: ApiCaller
beforeAll(async () => {
  service = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  call = callerOf(service.url, service.apiKey)
})
afterAll(() => service.stop())

const create = (raw: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
  call('POST /v1/predictions', { raw, headers: { 'content-type': 'application/json', ...headers } })

test.each([
  ['broken JSON', '{"model":'],
  ['a list', '[]'],
  ['a text', '"echo"'],
  ['null', 'null'],
  ['a number', '5'],
  ['not even UTF-8', new Uint8Array([0xff, 0xfe, 0x00])],
])('%s is 400 in JSON', async (_, body) => {
  expect(refusalOf(await create(body))).toMatchObject({ status: 400, id: 'INVALID_REQUEST' })
})

test.each([
  ['input', '{"model":"echo","input":{"a":1,"__proto__":{"b":2}}}', 'INVALID_INPUT'],
  ['tags', '{"model":"echo","input":{},"tags":{"__proto__":"x"}}', 'INVALID_PARAMETER'],
])('"__proto__" in %s is refused by name, not dropped', async (field, body, id) => {
  expect(refusalOf(await create(body))).toEqual({ status: 400, id, fields: [`${field}.__proto__`] })
})

test('a compressed body counts by what is inside', async () => {
  const small = gzipSync('{"model":"echo","input":{"packed":true}}')
  const bomb = gzipSync(JSON.stringify({ model: 'echo', input: { text: ' '.repeat(20 * 1024 * 1024) } }))

  expect((await create(new Uint8Array(small), { 'content-encoding': 'gzip' })).status).toBe(201)
  expect(refusalOf(await create(new Uint8Array(bomb), { 'content-encoding': 'gzip' }))).toMatchObject({
    status: 413,
    id: 'PAYLOAD_TOO_LARGE',
  })
})

test.each(['gzip', 'zstd-9'])('a body that is not the %s it says is 400 in JSON', async (encoding) => {
  const reply = await create('{"model":"echo","input":{}}', { 'content-encoding': encoding })
  expect(refusalOf(reply)).toMatchObject({ status: 400, id: 'INVALID_REQUEST' })
})

test.each(['text/plain', 'application/x-www-form-urlencoded', 'nonsense', 'application/json; charset=utf-8'])(
  'JSON is read whatever the content type says: %s',
  async (type) => {
    expect((await create('{"model":"echo","input":{}}', { 'content-type': type })).status).toBe(201)
  },
)

test('an empty body is no error where none is needed', async () => {
  const { body } = await create('{"model":"echo","input":{}}')
  const headers = { 'content-type': 'application/json' }
  const replies = [
    await call(`GET /v1/predictions/${body.id}`, { headers }),
    await call('GET /v1/predictions', { headers }),
    await call(`POST /v1/predictions/${body.id}/cancel`, { headers }),
    await call(`DELETE /v1/predictions/${body.id}`, { headers }),
  ]
  expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 200])
})

test('a body nobody asked for is not read', async () => {
  const { body } = await create('{"model":"echo","input":{}}')
  const reply = await call(`POST /v1/predictions/${body.id}/cancel`, { raw: 'x'.repeat(11 * 1024 * 1024) })
  expect(reply).toMatchObject({ status: 200, body: { status: 'cancelled' } })
})

test('an empty body where one is needed names what is missing', async () => {
  const reply = await call('POST /v1/predictions', { headers: { 'content-type': 'application/json' } })
  expect(refusalOf(reply)).toEqual({ status: 400, id: 'INVALID_INPUT', fields: ['model', 'input'] })
})

test('who may not call is told before the body is read', async () => {
  const stranger = callerOf(service.url, 'sk-mr-nobody')
  const reply = await stranger('POST /v1/predictions', { raw: 'x'.repeat(11 * 1024 * 1024) })
  expect(refusalOf(reply)).toMatchObject({ status: 401, id: 'UNAUTHORIZED' })
})

test.each(['GET /nowhere', 'PUT /v1/predictions', 'OPTIONS /v1/predictions', 'GET /v1/models/vendor/name'])(
  '%s is 404 in JSON',
  async (request) => {
    expect(refusalOf(await call(request))).toMatchObject({ status: 404, id: 'ENDPOINT_NOT_FOUND' })
  },
)

test.each(['/v1/models/%', '/v1/models/%zz', '/v1/predictions/%e0%a4', '/files/%/x'])(
  'the bad percent-encoding of %s is 400 in JSON',
  async (path) => {
    expect(refusalOf(await call(`GET ${path}`))).toMatchObject({ status: 400, id: 'INVALID_REQUEST' })
  },
)

test('every reply carries a request id, the caller’s where it is sane', async () => {
  const own = await call('GET /nowhere', { headers: { 'x-request-id': 'my-id:1' } })
  const odd = await call('GET /nowhere', { headers: { 'x-request-id': 'a b' } })

  expect(own.headers.get('x-request-id')).toBe('my-id:1')
  expect(own.body.error.request_id).toBe('my-id:1')
  expect(odd.headers.get('x-request-id')).toMatch(/^req_[0-9a-z]{26}$/)
  expect(odd.body.error.request_id).toBe(odd.headers.get('x-request-id'))
})

test.each([
  ['headers over 16 KB', `GET /v1/models HTTP/1.1\r\nhost: x\r\nx-long: ${'a'.repeat(20_000)}\r\n\r\n`],
  ['broken HTTP', 'NONSENSE\r\n\r\n'],
])('%s are refused in JSON, too', async (_, sent) => {
  const reply = await rawExchange(sent)
  const [head = '', body = ''] = reply.split('\r\n\r\n')
  expect(head).toMatch(/^HTTP\/1\.1 400 .*content-type: application\/json/is)
  expect(JSON.parse(body)).toMatchObject({
    status: false,
    error: { http_status: 400, error_id: 'INVALID_REQUEST' },
  })
})

async function rawExchange(sent: string): Promise<string> {
  const { hostname, port } = new URL(service.url)
  const socket = connect(Number(port), hostname)
  socket.end(sent)
  return text(socket)
}
