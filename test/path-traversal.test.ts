import { readdir } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { type Service, startService } from './harness/service.ts'
import { untilEnded } from './until-ended.ts'

let service: Service
let call: ApiCaller
beforeAll(async () => {
  service = await startService({ queue: 'redis', dispatchers: 0 })
  call = callerOf(service.url, service.apiKey)
})
afterAll(() => service.stop())

test.each([
  ['/v1/models/..%2f..%2fetc%2fpasswd', 'MODEL_NOT_FOUND'],
  ['/v1/models/%2e%2e', 'MODEL_NOT_FOUND'],
  ['/v1/models/..%5c..%5cetc', 'MODEL_NOT_FOUND'],
  ['/v1/models/..%00', 'MODEL_NOT_FOUND'],
  ['/v1/models/echo%2f..%2fecho', 'MODEL_NOT_FOUND'],
  ['/v1/models/__proto__', 'MODEL_NOT_FOUND'],
  ['/v1/files/..%2f..%2fmaster-key', 'FILE_NOT_FOUND'],
  ['/v1/files/%2e%2e', 'FILE_NOT_FOUND'],
  ['/v1/files/file_..%2f..', 'FILE_NOT_FOUND'],
  ['/files/..%2f..%2fmaster-key/a?expires=99999999999&signature=a', 'FILE_NOT_FOUND'],
  ['/v1/predictions/..%2f..', 'PREDICTION_NOT_FOUND'],
  ['/v1/webhooks/..%2f..', 'WEBHOOK_NOT_FOUND'],
  ['/v1/models/../../etc/passwd', 'ENDPOINT_NOT_FOUND'],
  ['/v1/models/./echo', 'ENDPOINT_NOT_FOUND'],
  ['/files/../../etc/passwd', 'ENDPOINT_NOT_FOUND'],
  ['/docs/../package.json', 'ENDPOINT_NOT_FOUND'],
  ['/docs/..%2f..%2fpackage.json', 'ENDPOINT_NOT_FOUND'],
  ['/../../etc/passwd', 'ENDPOINT_NOT_FOUND'],
  ['/%2e%2e/%2e%2e/etc/passwd', 'ENDPOINT_NOT_FOUND'],
  ['/..%c0%af..%c0%afetc/passwd', 'ENDPOINT_NOT_FOUND'],
  ['//etc/passwd', 'ENDPOINT_NOT_FOUND'],
  ['/etc/passwd%00.json', 'ENDPOINT_NOT_FOUND'],
])('GET %s: 404 %s', async (path, id) => {
  expect(await getAsItIs(path)).toMatchObject({ status: 404, body: { error: { error_id: id } } })
})

test.each([
  '../../etc/passwd',
  '/etc/passwd',
  'file:///etc/passwd',
  'echo/../echo',
  './echo',
  '..\\echo',
  'models/echo',
  'echo.ts',
  'echo\0',
  ' echo',
  'http://127.0.0.1/echo',
])('the model %j is none, however it is asked for', async (model) => {
  const replies = await Promise.all([
    call('POST /v1/predictions', { body: { model, input: {} } }),
    call('POST /v1/run', { body: { model, inputs: {} } }),
    call(`GET /v1/predictions?model=${encodeURIComponent(model)}`),
    call(`GET /v1/models/${encodeURIComponent(model)}`),
  ])
  const notFound = { status: 404, id: 'MODEL_NOT_FOUND', fields: [] }
  expect(replies.map(refusalOf)).toEqual(replies.map(() => notFound))
})

test.each([
  ['/etc/hostname', 'INVALID_INPUT'],
  ['../../etc/hostname', 'INVALID_INPUT'],
  ['file:///etc/hostname', 'INVALID_FILE_URL'],
  ['FILE:/etc/hostname', 'INVALID_FILE_URL'],
  ['millrace-file:../../etc/hostname', 'INVALID_FILE_URL'],
  ['millrace-file:/etc/hostname', 'INVALID_FILE_URL'],
])('the picture %s: 400 %s', async (image, id) => {
  const reply = await call('POST /v1/predictions', { body: { model: 'upscale', input: { image } } })
  expect(refusalOf(reply)).toEqual({ status: 400, id, fields: ['input.image'] })
})

test.each([
  ['data:image/../../../etc/hostname;base64,aGVsbG8=', 'image is not a picture that can be read'],
  ['data:,../../etc/hostname', 'image is not a picture that can be read'],
  [
    'HERE/files/..%2f..%2fmaster-key/a?expires=99999999999&signature=a',
    "input.image: The file's host answered HTTP 404",
  ],
])('the picture %s is read as what it is', async (url, error) => {
  const image = url.replace('HERE', service.url)
  const { body } = await call('POST /v1/predictions', { body: { model: 'upscale', input: { image } } })
  expect(await untilEnded(call, body.id)).toMatchObject({ status: 'failed', error_id: 'MODEL_ERROR', error })
})

test.each([
  ['../../etc/passwd', 'passwd'],
  ['..\\..\\boot.ini', 'boot.ini'],
  ['/etc/passwd', 'passwd'],
  ['~/.ssh/id', 'id'],
  ['..', 'file'],
  ['.', 'file'],
  ['%2e%2e%2fa', '%2e%2e%2fa'],
  ['a/../../b.txt', 'b.txt'],
  ['$(id)', '$(id)'],
])('an upload called %s is %s, and lies where all files lie', async (name, shown) => {
  const form = new FormData()
  form.set('file', new File(['hello'], name))
  const uploads = [
    await call(`POST /v1/files?filename=${encodeURIComponent(name)}`, { raw: 'hello' }),
    await call('POST /v1/files', { raw: form }),
  ]

  for (const { status, body } of uploads) {
    expect({ status, name: body.filename }).toEqual({ status: 201, name: shown })
    const response = await fetch(body.url)
    expect([response.status, await response.text()]).toEqual([200, 'hello'])
  }
  const stored = await readdir(join(service.folder, 'files'), { recursive: true })
  expect(stored.filter((path) => !/^(incoming|\w\w|\w\w\/file_\w{26})$/.test(path))).toEqual([])
})

/** `fetch` would resolve the dots before it asks. */
async function getAsItIs(path: string): Promise<{ status: number | undefined; body: unknown }> {
  const { hostname, port } = new URL(service.url)
  return new Promise((resolve, reject) => {
    httpRequest({ hostname, port, path, headers: { 'x-api-key': service.apiKey } })
      .on('error', reject)
      .on('response', (response) => {
        json(response).then((body) => resolve({ status: response.statusCode, body }), reject)
      })
      .end()
  })
}
