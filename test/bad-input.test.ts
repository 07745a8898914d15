import { randomUUID } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import type { Prediction } from '@millrace/contract/prediction'
import { scopes } from '@millrace/contract/scopes'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { documentedOperations, type OwnedKind } from './documented-requests.ts'
import { givenKeyWith } from './given-accounts.ts'
import { type Service, startService } from './harness/service.ts'
import { untilEnded } from './until-ended.ts'

let service: Service
let call: ApiCaller
function serving(queue: 'redis' | 'postgres', workers = 1): void {
  beforeAll(async () => {
    service = await startService({ queue, workers, dispatchers: 0 })
    call = callerOf(service.url, await givenKeyWith(service, { scopes: [...scopes] }))
  })
  afterAll(() => service.stop())
}

const create = (raw: Raw, headers: Record<string, string> = {}) =>
  call('POST /v1/predictions', { raw, headers: { 'content-type': 'application/json', ...headers } })

/** A create whose input is this JSON text. */
const withInput = (text: string) => `{"model":"echo","input":${text}}`
const plain = withInput('{}')
const lists = (levels: number) => withInput(`{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`)
const objects = (levels: number) => withInput(`{"a":${'{"b":'.repeat(levels)}1${'}'.repeat(levels)}}`)
const ofSize = (bytes: number) => withInput(`{"a":"${'x'.repeat(bytes - withInput('{"a":""}').length)}"}`)

/** Whatever is sent to, as the document has it. */
const senders = documentedOperations().filter(({ method }) => method === 'POST' || method === 'PATCH')
/** The others need nothing: an empty file is a file, and an empty change changes nothing. */
const needs: Record<string, { id: string; fields: string[] }> = {
  'POST /v1/predictions': { id: 'INVALID_INPUT', fields: ['model', 'input'] },
  'POST /v1/predict': { id: 'INVALID_INPUT', fields: ['model', 'input'] },
  'POST /v1/run': { id: 'INVALID_INPUT', fields: ['model'] },
  'POST /v1/batches': { id: 'INVALID_PARAMETER', fields: ['input_file_id'] },
  'POST /v1/webhooks': { id: 'INVALID_WEBHOOK_URL', fields: ['url'] },
  'POST /v1/webhook_endpoints': { id: 'INVALID_WEBHOOK_URL', fields: ['url'] },
  'POST /v1/keys': { id: 'INVALID_PARAMETER', fields: ['name'] },
  'POST /v1/admin/accounts': { id: 'INVALID_PARAMETER', fields: ['name'] },
  'POST /v1/admin/accounts/{id}/keys': { id: 'INVALID_PARAMETER', fields: ['name'] },
  'PUT /v1/admin/plans': { id: 'INVALID_PARAMETER', fields: ['name', 'settings'] },
  'POST /v1/admin/accounts/{id}/credits': { id: 'INVALID_PARAMETER', fields: ['amount', 'reason'] },
  'POST /v1/admin/accounts/{id}/refunds': { id: 'INVALID_PARAMETER', fields: ['reason'] },
}

const inference = /^POST \/v1\/(chat|embeddings|responses$|messages|images|audio|videos)/

const megabyte = 1024 * 1024
const limit = 10 * megabyte

describe('what is refused', () => {
  serving('redis', 0)

  test.each<[string, Raw, Record<string, string>?]>([
    ['65 levels of lists', lists(63)],
    ['65 levels of objects', objects(63)],
    ['5,000 levels', objects(5_000)],
    ['200,000 levels', lists(200_000)],
    ['200,000 levels that nothing closes', '{"a":'.repeat(200_000)],
    ['1e400', withInput('{"a":1e400}')],
    ['-1e400', withInput('{"a":[-1e400]}')],
    ['an integer of 400 digits', withInput(`{"a":${'9'.repeat(400)}}`)],
    ['a NUL that is not escaped', withInput('{"a":"\0"}')],
    ['a byte order mark', `\uFEFF${plain}`],
    ['UTF-16', utf16(plain)],
    ['UTF-16 with a byte order mark', utf16(`\uFEFF${plain}`)],
    ['UTF-16 that says so', utf16(plain), { 'content-type': 'application/json; charset=utf-16' }],
    ['two values', `${plain}${plain}`],
    ['a form', '--x\r\n\r\n--x--', { 'content-type': 'multipart/form-data; boundary=x' }],
    ['a body packed twice', packed(gzipSync(plain)), { 'content-encoding': 'gzip, gzip' }],
    ['a body that is packed without saying so', packed(plain)],
  ])('%s: 400 INVALID_REQUEST', async (_, raw, headers) => {
    expect(refusalOf(await create(raw, headers))).toEqual({ status: 400, id: 'INVALID_REQUEST', fields: [] })
  })

  test.each<[string, Raw | ReadableStream<Uint8Array>, Record<string, string>?]>([
    ['one byte over 10 MB', ofSize(limit + 1)],
    ['one byte over 10 MB of unknown length', inChunks(ofSize(limit + 1))],
    ['9 MB that unpack to 9 GB', bomb(), { 'content-encoding': 'gzip' }],
  ])('%s: 413 PAYLOAD_TOO_LARGE', async (_, body, headers = {}) => {
    const reply = await fetch(`${service.url}/v1/predictions`, {
      method: 'POST',
      headers: { 'x-api-key': service.apiKey, ...headers },
      body,
      ...(body instanceof ReadableStream ? { duplex: 'half' } : {}),
    })
    expect(reply.status).toBe(413)
    expect(await reply.json()).toMatchObject({ error: { error_id: 'PAYLOAD_TOO_LARGE' } })
  })

  test.each([
    ['65 levels', `{"model":"echo","inputs":{"a":${'['.repeat(63)}${']'.repeat(63)}}}`],
    ['1e400', '{"model":"echo","inputs":{"a":1e400}}'],
  ])('%s in a run: 400 INVALID_REQUEST', async (_, raw) => {
    const reply = await call('POST /v1/run', { raw, headers: { 'content-type': 'application/json' } })
    expect(refusalOf(reply)).toEqual({ status: 400, id: 'INVALID_REQUEST', fields: [] })
  })

  test.each(senders)('$name with a JSON type and no body: what it needs is named', async (operation) => {
    const { name, method, owned, pathWith } = operation
    const reply = await call(`${method} ${pathWith(await idOf(owned))}`, {
      headers: { 'content-type': 'application/json' },
    })
    const needed = needs[name]
    // Who was given no address is told of none.
    if (name.startsWith('POST /v1/callbacks/')) expect(reply.status).toBe(404)
    else if (needed) expect(refusalOf(reply)).toEqual({ status: 400, ...needed })
    // Protocols of others name it in their own way.
    else if (inference.test(name)) {
      expect(reply.status).toBe(400)
      expect(reply.body.error.message).toMatch(/^model /)
    } else if (owned === 'resp') expect(reply.status).toBe(404)
    else expect([200, 201]).toContain(reply.status)
  })
})

describe.each(['redis', 'postgres'] as const)(
  'what is accepted is run, and comes out as it was taken, over %s',
  (queue) => {
    serving(queue)

    test.each<[string, Raw, string, Record<string, string>?]>([
      [
        'NUL and lone surrogates become U+FFFD',
        withInput('{"a\\u0000":["b\\ud800c","\\udfff"]}'),
        '{"a\uFFFD":["b\uFFFDc","\uFFFD"]}',
      ],
      [
        'so do bytes that are no UTF-8',
        new Uint8Array([...Buffer.from('{"model":"echo","input":{"a":"'), 0xff, 0x22, 0x7d, 0x7d]),
        '{"a":"\uFFFD"}',
      ],
      ['64 levels are kept', objects(62), JSON.stringify(JSON.parse(objects(62)).input)],
      ['of a name that comes twice the last one counts', withInput('{"a":1,"b":2,"a":3}'), '{"a":3,"b":2}'],
      [
        'an integer of 20 digits is the nearest double',
        withInput('{"a":12345678901234567890}'),
        '{"a":12345678901234567000}',
      ],
      ['a number too small for a double is 0', withInput('{"a":1e-400}'), '{"a":0}'],
      [
        'names of JavaScript are names like others',
        withInput('{"a":{"__proto__":{"b":1}},"constructor":{"prototype":2},"toString":3}'),
        '{"a":{"__proto__":{"b":1}},"constructor":{"prototype":2},"toString":3}',
      ],
      ['"__proto__" beside them is ignored', `{"__proto__":{"model":"none"},${plain.slice(1)}`, '{}'],
      ['a picture that is JSON is JSON', plain, '{}', { 'content-type': 'image/png' }],
      ['so is a text in UTF-7', plain, '{}', { 'content-type': 'text/plain; charset=utf-7' }],
    ])('%s', async (_, raw, taken, headers) => {
      const created = await create(raw, headers)
      expect(created.status).toBe(201)
      expect(JSON.stringify(created.body.input)).toBe(taken)

      const { status, output } = await endOf(created.body)

      expect({ status, output: JSON.stringify(output) }).toEqual({ status: 'succeeded', output: taken })
    })

    test('an input of 10 MB is taken, and is too long for an answer', async () => {
      const { status, body } = await create(ofSize(limit))
      expect(status).toBe(201)
      expect(await endOf(body)).toMatchObject({ status: 'failed', error_id: 'INVALID_OUTPUT' })
    })

    test.each(['/etc/hostname', '../../../../etc/hostname', '.', '', 'a\\u0000b'])(
      'a file that an input makes a model name is not shown: %j',
      async (path) => {
        const { body } = await create(withInput(`{"a":{"$file":"${path}"}}`))
        const { status, error_id, metadata } = await endOf(body)
        expect({ status, error_id, files: metadata.storage.files }).toEqual({
          status: 'failed',
          error_id: 'INVALID_OUTPUT',
          files: [],
        })
      },
    )

    test('the marker of a file is a text like others', async () => {
      const { body } = await create(withInput('{"a":"millrace-file:../../etc/hostname"}'))
      expect((await endOf(body)).output).toEqual({ a: 'millrace-file:../../etc/hostname' })
    })
  },
)

/** The id of something new, where an operation's path needs one. */
async function idOf(kind: OwnedKind | undefined): Promise<string> {
  if (kind === 'pred') return (await create(plain)).body.id
  if (kind === 'batch') {
    const requests = [{ custom_id: 'a', url: '/v1/predictions', body: JSON.parse(plain) }]
    return (await call('POST /v1/batches', { body: { requests } })).body.id
  }
  if (kind === 'whe') {
    return (await call('POST /v1/webhooks', { body: { url: 'http://127.0.0.1:9/', events: ['*'] } })).body.id
  }
  if (kind === 'key') return (await call('POST /v1/keys', { body: { name: 'a' } })).body.id
  if (kind === 'acct')
    return (await call('POST /v1/admin/accounts', { body: { name: randomUUID() } })).body.id
  if (kind === 'budget') return (await call('POST /v1/budgets', { body: {} })).body.id
  return ''
}

const endOf = ({ id }: Prediction) => untilEnded(call, id)

function utf16(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(text, 'utf16le'))
}

function packed(text: string | Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gzipSync(text))
}

function inChunks(text: string): ReadableStream<Uint8Array> {
  return new Blob([text]).stream()
}

/** A gzip file may have many members; all of these are the same megabyte of spaces. */
function bomb(): Uint8Array<ArrayBuffer> {
  const member = gzipSync(Buffer.alloc(megabyte, ' '))
  const members = Array.from({ length: 9 * 1024 }, () => member)
  return new Uint8Array(Buffer.concat([gzipSync('{"model":"echo","input":{"a":"'), ...members]))
}

type Raw = string | Uint8Array<ArrayBuffer>
