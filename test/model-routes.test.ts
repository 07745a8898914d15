import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { type Service, startService } from './harness/service.ts'

let service: Service
let call: ApiCaller
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-models-'))
  await mkdir(folder, { recursive: true })
  await writeFile(
    join(folder, 'slashed.mjs'),
    `export default { namespace: 'Vendor/FLUX.2-pro', type: 'image', input_schema: { type: 'object' }, run: () => [] }`,
  )
  await writeFile(
    join(folder, 'hidden.yaml'),
    `namespace: hidden-one
visibility: unlisted
version: 2024-beta
type: image
apis: [predictions, chat]
vendor: { name: Mill & Sons }
service: { inference_party: the mill }
pricing: { amount: 0.25, unit: image }
input_schema: { type: object }
provider: { kind: command, command: [cat] }
`,
  )
  await writeFile(
    join(folder, 'talker.json'),
    JSON.stringify({
      namespace: 'talker',
      type: 'text',
      apis: ['chat'],
      input_schema: { type: 'object' },
      provider: { kind: 'command', command: ['cat'] },
    }),
  )
  service = await startService({ queue: 'redis', workers: 0, dispatchers: 0, env: { MODELS_DIR: folder } })
  call = callerOf(service.url, service.apiKey)
})
afterAll(async () => {
  await service.stop()
  await rm(folder, { recursive: true })
})

const bearer = (headers: Record<string, string> = {}) => ({
  headers: { authorization: `Bearer ${service.apiKey}`, ...headers },
})

test('clients with x-api-key get a bare array, each model with all its keys', async () => {
  const { body } = await call('GET /v1/models')
  const echo = body.find(({ namespace }: { namespace: string }) => namespace === 'echo')

  expect(body.map(({ namespace }: { namespace: string }) => namespace)).toEqual(
    expect.arrayContaining(['Vendor/FLUX.2-pro', 'doodle', 'doodle-video', 'echo', 'ocr', 'upscale']),
  )
  expect(echo).toMatchObject({
    name: 'Echo',
    type: 'multimodal',
    apis: [{ name: 'predictions', path: '/v1/predictions' }],
    vendor: { name: expect.any(String), slug: expect.any(String), metadata: {} },
    pricing: { amount: 0, currency: 'USD', unit: 'prediction', per: 1 },
    status: 'operational',
    service: { type: 'native' },
    input_schema: {},
    output_schema: {},
  })
})

test('OpenAI’s clients, which send a bearer token, get their list with the native fields beside', async () => {
  const { body } = await callerOf(service.url)('GET /v1/models', bearer())
  expect(body.object).toBe('list')
  expect(body.data).toContainEqual(
    expect.objectContaining({
      id: 'echo',
      object: 'model',
      created: expect.any(Number),
      owned_by: 'millrace',
      namespace: 'echo',
    }),
  )
})

test('OpenAI’s client gets one, with a slash in its name, too', async () => {
  const client = new OpenAI({ apiKey: service.apiKey, baseURL: `${service.url}/v1`, maxRetries: 0 })
  expect(await client.models.retrieve('Vendor/FLUX.2-pro')).toMatchObject({
    id: 'Vendor/FLUX.2-pro',
    object: 'model',
    owned_by: 'millrace',
  })
})

test('Anthropic’s clients get theirs', async () => {
  const { body } = await callerOf(service.url)(
    'GET /v1/models',
    bearer({ 'anthropic-version': '2023-06-01' }),
  )
  expect(body).toMatchObject({ has_more: false, first_id: expect.any(String), last_id: expect.any(String) })
  expect(body.data).toContainEqual({
    type: 'model',
    id: 'echo',
    display_name: 'Echo',
    created_at: expect.any(String),
  })
})

test('the schemas come when they are asked for', async () => {
  const [list, one, plain] = await Promise.all([
    call('GET /v1/models?fields=input_schema,output_schema'),
    call('GET /v1/models/doodle?fields=input_schema'),
    call('GET /v1/models/doodle'),
  ])
  for (const model of list.body) expect(model.input_schema).toMatchObject({ type: 'object' })
  expect(one.body.input_schema).toMatchObject({
    required: ['prompt'],
    properties: { prompt: { type: 'string', title: expect.any(String) } },
  })
  expect(one.body).not.toHaveProperty('output_schema')
  expect(plain.body).not.toHaveProperty('input_schema')
  expect(refusalOf(await call('GET /v1/models?fields=secrets'))).toEqual({
    status: 400,
    id: 'INVALID_PARAMETER',
    fields: ['fields'],
  })
})

test.each(['/v1/models/', '/v1/model/'])(
  'a slug with a slash and upper case is found at %s when it is encoded',
  async (path) => {
    expect((await call(`GET ${path}Vendor%2FFLUX.2-pro`)).body).toMatchObject({
      namespace: 'Vendor/FLUX.2-pro',
    })
    expect(refusalOf(await call(`GET ${path}Vendor/FLUX.2-pro`))).toMatchObject({
      status: 404,
      id: 'ENDPOINT_NOT_FOUND',
    })
    expect(refusalOf(await call(`GET ${path}vendor%2Fflux.2-pro`))).toMatchObject({
      status: 404,
      id: 'MODEL_NOT_FOUND',
    })
  },
)

test('a prediction names the model exactly as it was asked for', async () => {
  const { body } = await call('POST /v1/predictions', { body: { model: 'Vendor/FLUX.2-pro', input: {} } })
  expect(body.model).toEqual({ name: 'Vendor/FLUX.2-pro', type: 'image' })
  const { body: listed } = await call('GET /v1/predictions?model=Vendor%2FFLUX.2-pro')
  expect(listed.data).toHaveLength(1)
})

test('an unlisted model is in no list and no hint, and whoever knows its name may use it', async () => {
  const { body: list } = await call('GET /v1/models')
  expect(list.map(({ namespace }: { namespace: string }) => namespace)).not.toContain('hidden-one')
  const { body: missed } = await call('GET /v1/models/hidden-on')
  expect(missed.response).not.toContain('hidden-one')
  expect((await call('POST /v1/predictions', { body: { model: 'hidden-one', input: {} } })).status).toBe(201)
})

test('a model is shown with what its file says of it', async () => {
  const { body } = await call('GET /v1/models/hidden-one')
  expect(body).toMatchObject({
    apis: [
      { name: 'predictions', path: '/v1/predictions' },
      { name: 'chat', path: '/v1/chat/completions' },
      { name: 'responses', path: '/v1/responses' },
      { name: 'messages', path: '/v1/messages' },
    ],
    context_length: null,
    max_output_tokens: null,
    vendor: {
      name: 'Mill & Sons',
      description: '',
      image_url: null,
      verified: false,
      slug: 'mill-sons',
      metadata: {},
    },
    billable: true,
    pricing: { amount: 0.25, currency: 'USD', unit: 'image', per: 1 },
    metadata: { openai_compatible: false },
    service: { type: 'native', inference_party: 'the mill' },
    aliases: [],
    version: expect.stringMatching(/^[0-9a-f]{64}$/),
    version_label: '2024-beta',
  })
})

test('a prediction records the state of its model, and a request may insist on one', async () => {
  const { body: model } = await call('GET /v1/models/hidden-one')
  const create = (version: string) =>
    call('POST /v1/predictions', { body: { model: 'hidden-one', input: {}, version } })
  for (const version of [model.version, '2024-beta', 'latest']) {
    const { status, body } = await create(version)
    expect(status).toBe(201)
    expect(body.metadata.model_version).toBe(model.version)
    const { body: found } = await call(`GET /v1/predictions/${body.id}`)
    expect(found.metadata.model_version).toBe(model.version)
  }
  const refused = await create('0'.repeat(64))
  expect(refusalOf(refused)).toEqual({ status: 404, id: 'MODEL_NOT_FOUND', fields: ['version'] })
  expect(refused.body.response).toContain(`${model.version} ("2024-beta")`)
})

test('a model of another surface is refused with the path that serves it', async () => {
  const refused = await call('POST /v1/predictions', { body: { model: 'talker', input: {} } })
  expect(refusalOf(refused)).toMatchObject({ status: 422, id: 'MODEL_NOT_SUPPORTED' })
  expect(refused.body.response).toContain('/v1/chat/completions')
  expect((await call('GET /v1/models/talker')).body.metadata.openai_compatible).toBe(true)
})
