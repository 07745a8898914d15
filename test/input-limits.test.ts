import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { headBytes, typeOfBytes } from '@millrace/media/type-of-bytes'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { type Service, startService } from './harness/service.ts'
import { untilEnded } from './until-ended.ts'

let service: Service
let call: ApiCaller
let models: string
let host: Server
let hostUrl: string
let png: Buffer
beforeAll(async () => {
  models = await mkdtemp(join(tmpdir(), 'millrace-models-'))
  await writeFile(join(models, 'picky.mjs'), pickyModel)
  png = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
    .png()
    .toBuffer()
  const files: Record<string, [type: string, body: Buffer]> = {
    '/picture.png': ['application/octet-stream', png],
    '/page.png': ['image/png', Buffer.from('<html>not a picture</html>')],
    '/large.png': ['image/png', Buffer.concat([png, Buffer.alloc(2_000)])],
  }
  host = createServer((request, response) => {
    const [type, body] = files[request.url ?? ''] ?? []
    response.writeHead(200, { 'content-type': type }).end(body)
  }).listen(0, '127.0.0.1')
  await once(host, 'listening')
  hostUrl = `http://127.0.0.1:${(host.address() as AddressInfo).port}`
  service = await startService({ queue: 'redis', dispatchers: 0, env: { MODELS_DIR: models } })
  call = callerOf(service.url, service.apiKey)
})
afterAll(async () => {
  await service.stop()
  host.close()
  await rm(models, { recursive: true })
})

const pickyModel = `export default {
  namespace: 'picky', type: 'data',
  inputFiles: { maxBytes: 1500, maxCount: 2, contentTypes: ['image/png', 'audio/*', 'text/csv'] },
  input_schema: {
    type: 'object',
    properties: {
      image: { type: 'string', format: 'uri' },
      more: { type: 'array', items: { type: 'string', format: 'uri' } },
    },
  },
  run: () => 'taken',
}`

const dataUrl = (bytes: Buffer, type = 'image/png') => `data:${type};base64,${bytes.toString('base64')}`
const upload = async (bytes: Buffer, type = 'image/png') =>
  (
    await call('POST /v1/files?filename=a.png', {
      raw: Uint8Array.from(bytes),
      headers: { 'content-type': type },
    })
  ).body.url as string
const create = (input: object) => call('POST /v1/predictions', { body: { model: 'picky', input } })

const ways: [string, (bytes: Buffer, type?: string) => string | Promise<string>][] = [
  ['data URL', dataUrl],
  ['upload', upload],
]

describe.each(ways)('a %s', (_way, giving) => {
  test('that the model takes is taken', async () => {
    const { body } = await create({
      image: await giving(png),
      more: [await giving(Buffer.from('a,b'), 'text/csv')],
    })
    expect(await untilEnded(call, body.id)).toMatchObject({ status: 'succeeded', output: 'taken' })
  })

  test('that is too large is refused with its field and the limit', async () => {
    const reply = await create({
      image: await giving(Buffer.concat([png, Buffer.alloc(1_500 - png.length + 1)])),
    })
    expect(refusalOf(reply)).toEqual({ status: 400, id: 'INVALID_INPUT', fields: ['input.image'] })
    expect(reply.body.error.message).toBe(
      'input.image: The file has 1501 bytes; this model takes at most 1500.',
    )
  })

  test.each([
    [
      'a page that is called a picture',
      Buffer.from('<html></html>'),
      'image/png',
      'application/octet-stream',
    ],
    ['a document that is called a picture', Buffer.from('%PDF-1.7\n'), 'image/png', 'application/pdf'],
    ['text of another kind', Buffer.from('hello'), 'text/plain', 'text/plain'],
    ['nothing', Buffer.of(), 'image/png', 'application/octet-stream'],
  ])('that is %s is refused with what it is', async (_what, bytes, claimed, type) => {
    const reply = await create({ more: [await giving(png), await giving(bytes, claimed)] })
    expect(refusalOf(reply)).toEqual({ status: 400, id: 'INVALID_INPUT', fields: ['input.more.1'] })
    expect(reply.body.error.message).toBe(
      `input.more.1: The file is ${type}; this model takes image/png, audio/*, text/csv.`,
    )
  })

  test('that is a picture under another name is taken', async () => {
    const { status } = await create({ image: await giving(png, 'application/octet-stream') })
    expect(status).toBe(201)
  })
})

test('one file too many is refused by its own field, and nothing is stored', async () => {
  const before = (await call('GET /v1/files')).body.pagination.total
  const image = dataUrl(Buffer.concat([png, Buffer.alloc(1_000)]))
  const reply = await create({ image, more: [image, image] })
  expect(refusalOf(reply)).toEqual({ status: 400, id: 'INVALID_INPUT', fields: ['input.more.1'] })
  expect(reply.body.error.message).toBe('input.more.1: This model takes at most 2 files.')
  expect((await call('GET /v1/files')).body.pagination.total).toBe(before)
})

test('a file that is fetched is judged when it is here, by its bytes and not by its host’s word', async () => {
  const outcomes = await Promise.all(
    ['picture.png', 'page.png', 'large.png'].map(async (name) => {
      const { body } = await create({ image: `${hostUrl}/${name}` })
      const { status, error } = await untilEnded(call, body.id)
      return [status, error]
    }),
  )
  expect(outcomes).toEqual([
    ['succeeded', null],
    [
      'failed',
      'input.image: The file is application/octet-stream; this model takes image/png, audio/*, text/csv',
    ],
    ['failed', 'input.image: The file is larger than 1500 bytes'],
  ])
})

test('the limits are in the input schema that the model shows', async () => {
  const { input_schema } = (await call('GET /v1/models/picky?fields=input_schema')).body
  const limits = { 'x-max-bytes': 1500, 'x-content-types': ['image/png', 'audio/*', 'text/csv'] }
  expect(input_schema).toMatchObject({
    'x-max-files': 2,
    properties: { image: limits, more: { items: limits } },
  })
})

test.each([
  ['image/svg+xml', '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', 'image/svg+xml'],
  ['image/png', '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', 'application/xml'],
  ['image/png', 'PK\u0003\u0004', 'application/zip'],
  [
    'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
    'PK\u0003\u0004',
    'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  ],
  ['image/jpg', 'no picture', 'application/octet-stream'],
  ['text/csv; charset=utf-8', 'a,b', 'text/csv'],
  ['', 'anything', 'application/octet-stream'],
])('what is called %j and begins with %j is %s', async (claimed, text, type) => {
  expect(await typeOfBytes(Buffer.from(text, 'latin1').subarray(0, headBytes), claimed)).toBe(type)
})
