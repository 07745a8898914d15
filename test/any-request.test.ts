import { request as httpRequest } from 'node:http'
import { text } from 'node:stream/consumers'
import { scopes } from '@millrace/contract/scopes'
import { newId, toTypeId } from '@millrace/database/ids'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callerOf } from './api-caller.ts'
import type { ApiDocument } from './fitting-values.ts'
import { type GeneratedRequest, type KnownIds, requestsOf } from './generated-requests.ts'
import { givenKeyWith } from './given-accounts.ts'
import { givenMediaModels } from './given-media.ts'
import { type Service, startService } from './harness/service.ts'

/** How many requests are made; they go in groups, as clients do not queue either. */
const runs = 150
const atOnce = 20

const chat = { model: 'parrot', messages: [{ role: 'user', content: 'a' }] }

let service: Service
let apiKey: string
let document: ApiDocument
let known: KnownIds
let media: Awaited<ReturnType<typeof givenMediaModels>>
let ajv: Ajv2020
const requests = [{ custom_id: 'a', url: '/v1/predictions', body: { model: 'echo', input: {} } }]
beforeAll(async () => {
  media = await givenMediaModels()
  service = await startService({
    queue: 'redis',
    dispatchers: 0,
    // Only what is held until its end has a worker.
    env: { AWAIT_SECONDS: '0', MODELS_DIR: media.dir, POOLS: 'media' },
  })
  apiKey = await givenKeyWith(service, { scopes: scopes.filter((scope) => scope !== 'admin') })
  const call = callerOf(service.url, apiKey)
  document = (await call('GET /openapi.json')).body
  ajv = new Ajv2020({ strict: false, allErrors: true })
  formats.default(ajv)
  ajv.addSchema(document, 'openapi.json')
  // Several of each: the requests delete some.
  const made = await Promise.all(
    Array.from({ length: 8 }, () => [
      call('POST /v1/predictions', { body: { model: 'echo', input: {} } }),
      call('POST /v1/videos', { body: { model: 'film', prompt: 'a' } }),
      call('POST /v1/files?filename=a.txt', { raw: 'hello' }),
      call('POST /v1/webhooks', { body: { url: 'http://127.0.0.1:9/' } }),
      call('POST /v1/batches', { body: { requests } }),
      call('POST /v1/keys', { body: { name: 'a' } }),
      call('POST /v1/responses', { body: { model: 'parrot', input: 'a', background: true } }),
      call('POST /v1/responses', { body: { model: 'parrot', input: 'a' } }),
      call('POST /v1/chat/completions', { body: { ...chat, store: true } }),
    ]).flat(),
  )
  const ids = [...made.map(({ body }) => body.id), toTypeId('pred', newId()), 'default', 'echo']
  const models = ['echo', 'echo', 'doodle', 'upscale', 'no-such', 'vendor/name']
  known = { ids, models, modelsAt }
})
afterAll(async () => {
  await service.stop()
  await media.close()
})

/** Where a surface serves only some. */
const modelsAt = {
  '/v1/responses': ['parrot', 'parrot', 'hash-embed', 'no-such'],
  '/v1/images/generations': ['any-picture', 'any-picture', 'any-picture', 'picture', 'no-such'],
  '/v1/audio/speech': ['any-voice', 'any-voice', 'any-voice', 'speak', 'picture'],
  '/v1/audio/transcriptions': ['transcript', 'transcript', 'detailed', 'film'],
  '/v1/videos': ['any-film', 'any-film', 'any-film', 'film', 'no-such'],
}

test('whatever is asked, the answer is one that the document promises, and never a fault of ours', async () => {
  const seed = 20_260_101
  console.info(`generated requests: seed ${seed}`)
  const wrong: string[] = []
  const seen = new Map<number, number>()
  await fc.assert(
    fc.asyncProperty(
      fc.array(requestsOf(document, known), { minLength: atOnce, maxLength: atOnce }),
      async (requests) => {
        await Promise.all(
          requests.map(async (request) => {
            const reply = await send(request)
            seen.set(reply.status, (seen.get(reply.status) ?? 0) + 1)
            const fault = faultOf(request, reply)
            if (fault)
              wrong.push(
                `${request.method} ${request.path} ${JSON.stringify(request.headers)} ${request.body}\n  ${fault}`,
              )
          }),
        )
      },
    ),
    { seed, numRuns: runs, endOnFailure: true },
  )

  expect(wrong.slice(0, 5)).toEqual([])
  const total = [...seen.values()].reduce((sum, count) => sum + count, 0)
  expect(total).toBeGreaterThanOrEqual(2_000)
  // A set of requests that are all refused would prove little.
  for (const status of [200, 201, 400, 401, 404])
    expect([status, (seen.get(status) ?? 0) > 10]).toEqual([status, true])
  expect((seen.get(200) ?? 0) + (seen.get(201) ?? 0)).toBeGreaterThan(total / 6)
}, 90_000)

function faultOf({ operation, method }: GeneratedRequest, reply: Reply): string | undefined {
  const { status, type, body } = reply
  if (status >= 500) return `answers ${status}: ${body.slice(0, 300)}`
  const promised = operation.responses[status]
  if (!promised)
    return `answers ${status}, which ${operation.operationId} does not document: ${body.slice(0, 300)}`
  if (status === 304 || method === 'HEAD') return undefined
  const media = type.split(';')[0] ?? ''
  const content = promised.content?.[media] ?? promised.content?.['*/*']
  if (!content) return `answers ${type}, which is not documented for ${status}`
  if (media !== 'application/json' || !promised.content?.[media]) return undefined
  const validate = validatorOf(operation.operationId, status, content.schema)
  return validate(JSON.parse(body))
    ? undefined
    : `${status} does not fit: ${ajv.errorsText(validate.errors)} ${body.slice(0, 300)}`
}

const validators = new Map<string, ValidateFunction>()

function validatorOf(operationId: string, status: number, schema: object): ValidateFunction {
  const name = `${operationId} ${status}`
  const text = JSON.stringify(schema).replaceAll('"#/components', '"openapi.json#/components')
  const validate = validators.get(name) ?? ajv.compile(JSON.parse(text))
  validators.set(name, validate)
  return validate
}

/** Sends it as it is: fetch would mend paths, headers and bodies that are wrong. */
async function send({ method, path, headers, key, body }: GeneratedRequest): Promise<Reply> {
  const keys = { good: { 'x-api-key': apiKey }, bad: { authorization: 'Bearer x' }, none: {} }
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  const request = httpRequest(service.url, { method, path, headers: { ...headers, ...length, ...keys[key] } })
  return new Promise((resolve) => {
    request.on('error', cut).on('response', (response) => {
      const type = response.headers['content-type'] ?? ''
      if (type.startsWith('text/event-stream')) {
        response.destroy()
        resolve({ status: response.statusCode ?? 0, type, body: '' })
        return
      }
      text(response).then((read) => resolve({ status: response.statusCode ?? 0, type, body: read }), cut)
    })
    request.end(body)

    function cut({ message }: Error): void {
      resolve({ status: 599, type: '', body: message })
    }
  })
}

interface Reply {
  status: number
  type: string
  body: string
}
