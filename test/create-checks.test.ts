import { createValidator } from '@millrace/models/validate'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf, uuidOf } from './api-caller.ts'
import { type Service, startService } from './harness/service.ts'

let service: Service
let call: ApiCaller
beforeAll(async () => {
  service = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  call = callerOf(service.url, service.apiKey)
})
afterAll(() => service.stop())

const create = (fields: object, headers: Record<string, string> = {}) =>
  call('POST /v1/predictions', { body: { model: 'echo', input: {}, ...fields }, headers })

test('a create answers 201 with the whole prediction', async () => {
  const { status, body } = await create({
    input: { text: 'hi' },
    stream: true,
    tags: { team: 'red' },
    webhook: { url: 'http://127.0.0.1:9/hook', events: ['completed', 'canceled'] },
  })

  expect(status).toBe(201)
  expect(body).toEqual({
    id: expect.stringMatching(/^pred_[0-9a-z]{26}$/),
    status: 'pending',
    type: 'inference',
    stream: true,
    input: { text: 'hi' },
    output: null,
    error: null,
    response: null,
    created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    updated_at: body.created_at,
    started_at: null,
    completed_at: null,
    privacy: 'private',
    source: 'api',
    model: { name: 'echo', type: 'multimodal' },
    webhook: { url: 'http://127.0.0.1:9/hook', events: ['completed', 'canceled'] },
    metrics: {},
    metadata: {
      billing: { credits_used: 0 },
      storage: { files: [] },
      data_available: true,
      expires_at: null,
      attempts: 0,
      cancel_requested_at: null,
      tags: { team: 'red' },
      model_version: expect.stringMatching(/^[0-9a-f]{64}$/),
      priority: 'normal',
      run_at: null,
      expires_in: null,
      cold_boot: null,
      queue: { position: expect.any(Number), estimated_seconds: null, estimated_start_at: null },
      waiting_for: 'No worker serves this model.',
    },
    urls: {
      get: `${service.url}/v1/predictions/${body.id}`,
      cancel: `${service.url}/v1/predictions/${body.id}/cancel`,
      stream: `${service.url}/v1/predictions/${body.id}/stream`,
      delete: `${service.url}/v1/predictions/${body.id}`,
    },
  })
  const shown = (await call(`GET /v1/predictions/${body.id}`)).body
  expect({ ...shown, metadata: { ...shown.metadata, queue: body.metadata.queue } }).toEqual(body)
})

test('the other spelling creates as well', async () => {
  const { status } = await call('POST /v1/predict', { body: { model: 'echo', input: {} } })
  expect(status).toBe(201)
})

test('a bare webhook URL means all events that need no opt-in', async () => {
  const { body } = await create({ webhook: 'http://127.0.0.1:9/hook' })
  expect(body.webhook).toEqual({
    url: 'http://127.0.0.1:9/hook',
    events: ['prediction.started', 'prediction.succeeded', 'prediction.failed', 'prediction.cancelled'],
  })
})

test('defaults of the model are applied and shown', async () => {
  const { body } = await call('POST /v1/predictions', {
    body: { model: 'doodle', input: { prompt: 'a tree' } },
  })
  expect(body.input).toMatchObject({ prompt: 'a tree', width: expect.any(Number) })
})

test.each([
  ['no model', { model: undefined }, 'INVALID_INPUT', 'model'],
  ['a model that is no string', { model: 5 }, 'INVALID_INPUT', 'model'],
  ['an empty model', { model: '' }, 'INVALID_INPUT', 'model'],
  ['no input', { input: undefined }, 'INVALID_INPUT', 'input'],
  ['an input that is a list', { input: [1] }, 'INVALID_INPUT', 'input'],
  ['an input that is a string', { input: 'x' }, 'INVALID_INPUT', 'input'],
  ['an input that is null', { input: null }, 'INVALID_INPUT', 'input'],
  ['await that is no boolean', { await: 'yes' }, 'INVALID_PARAMETER', 'await'],
  ['stream that is no boolean', { stream: 1 }, 'INVALID_PARAMETER', 'stream'],
  ['a public prediction', { privacy: 'public' }, 'INVALID_PARAMETER', 'privacy'],
  ['a webhook that is a number', { webhook: 5 }, 'INVALID_PARAMETER', 'webhook'],
  ['a webhook without a URL', { webhook: { events: [] } }, 'INVALID_PARAMETER', 'webhook.url'],
  [
    'an unknown event',
    { webhook: { url: 'http://127.0.0.1:9/', events: ['done'] } },
    'INVALID_PARAMETER',
    'webhook.events',
  ],
  [
    'an event that is a name of JavaScript',
    { webhook: { url: 'http://127.0.0.1:9/', events: ['constructor'] } },
    'INVALID_PARAMETER',
    'webhook.events',
  ],
  ['a webhook of another scheme', { webhook: 'ftp://127.0.0.1/' }, 'INVALID_WEBHOOK_URL', 'webhook.url'],
  [
    'a webhook with credentials',
    { webhook: 'http://me:pw@127.0.0.1/' },
    'INVALID_WEBHOOK_URL',
    'webhook.url',
  ],
  ['a webhook at a private address', { webhook: 'http://10.1.2.3/' }, 'INVALID_WEBHOOK_URL', 'webhook.url'],
  [
    'a webhook at the metadata service',
    { webhook: 'http://169.254.169.254/' },
    'INVALID_WEBHOOK_URL',
    'webhook.url',
  ],
  ['a webhook that is no URL', { webhook: 'hook' }, 'INVALID_WEBHOOK_URL', 'webhook.url'],
  ['a tag with a bad name', { tags: { 'a b': 'x' } }, 'INVALID_PARAMETER', 'tags.a b'],
  ['a tag that is a number', { tags: { a: 1 } }, 'INVALID_PARAMETER', 'tags.a'],
  ['a tag that is too long', { tags: { a: 'x'.repeat(257) } }, 'INVALID_PARAMETER', 'tags.a'],
  [
    'too many tags',
    { tags: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`t${n}`, 'x'])) },
    'INVALID_PARAMETER',
    'tags',
  ],
  ['a time to start of zero', { timeouts: { start: 0 } }, 'INVALID_PARAMETER', 'timeouts.start'],
  ['a time to run that is a text', { timeouts: { run: '5' } }, 'INVALID_PARAMETER', 'timeouts.run'],
  [
    "more than the model's time to start",
    { timeouts: { start: 3601 } },
    'INVALID_PARAMETER',
    'timeouts.start',
  ],
  ["more than the model's time to run", { timeouts: { run: 3601 } }, 'INVALID_PARAMETER', 'timeouts.run'],
] as const)('%s is refused by name', async (_, fields, id, field) => {
  const reply = await create(fields)

  expect(refusalOf(reply)).toEqual({ status: 400, id, fields: [field] })
  expect(reply.body).toMatchObject({ status: false, response: reply.body.error.message })
  expect(reply.body.error).toMatchObject({ http_status: 400, retryable: false, details: expect.any(String) })
})

test('every wrong field of the input is named', async () => {
  const reply = await call('POST /v1/predictions', {
    body: { model: 'doodle', input: { width: 'wide', height: 1e9, steps: -1 } },
  })

  expect(refusalOf(reply)).toMatchObject({ status: 400, id: 'INVALID_INPUT' })
  expect(new Set(refusalOf(reply).fields)).toEqual(
    new Set(['input.prompt', 'input.width', 'input.height', 'input.steps']),
  )
})

test('what is wrong with a name is told', async () => {
  const { body } = await create({ tags: { 'a b': 'x' } })
  expect(body.error.message).toBe(
    'tags.a b is no name of a tag, which has 1 to 64 letters, digits, dots, dashes or underscores.',
  )
})

test.each([
  [{ expires_in: 0 }, 'expires_in must be at least 1 second.'],
  [{ expires_in: 1_209_601 }, 'expires_in must be at most 1209600 seconds.'],
  [{ expires_in: 1.5 }, 'expires_in must be a whole number.'],
  [{ timeouts: { run: 0 } }, 'timeouts.run must be at least 1 second.'],
  [{ retention: { files_days: 0 } }, 'retention.files_days must be at least 0.01 days.'],
  [{ model: '' }, 'model must not be empty.'],
  [{ version: 7 }, 'version must be a string.'],
  [{ priority: 'urgent' }, 'priority must be one of high, normal, low.'],
  [{ privacy: 'public' }, 'privacy must be private.'],
  [{ tags: { a: 'x'.repeat(257) } }, 'tags.a must have at most 256 characters.'],
  [
    { tags: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [n, ''])) },
    'tags must have at most 32 tags.',
  ],
])('%j is refused in a sentence', async (fields, sentence) => {
  expect((await create(fields)).body.error.message).toBe(sentence)
})

test('what is wrong with an input is said in the same words', () => {
  const properties = {
    short: { type: 'string', minLength: 1 },
    long: { type: 'string', maxLength: 3 },
    low: { type: 'integer', minimum: 1 },
    high: { type: 'number', maximum: 3 },
    above: { type: 'number', exclusiveMinimum: 0 },
    below: { type: 'number', exclusiveMaximum: 1 },
    step: { type: 'integer', multipleOf: 8 },
    whole: { type: 'integer' },
    either: { type: ['string', 'null'] },
    few: { type: 'array', minItems: 1 },
    many: { type: 'array', maxItems: 2, uniqueItems: true },
    style: { enum: ['ink', 'oil', 7] },
    mail: { type: 'string', format: 'email' },
    code: { type: 'string', pattern: '^[a-z]$' },
    shape: { anyOf: [{ type: 'string' }, { type: 'number' }] },
  }
  const input = {
    short: '',
    long: 'four',
    low: 0,
    high: 9,
    above: 0,
    below: 1,
    step: 3,
    whole: 1.5,
    either: 1,
    few: [],
    many: [1, 1, 1],
    style: 'wax',
    mail: 'me',
    code: 'A',
    shape: true,
  }
  const result = createValidator({ input_schema: { type: 'object', required: ['prompt'], properties } })(
    input,
  )
  const said = result.ok ? [] : result.fields.map(({ path, message }) => `${path} ${message}`)
  expect(said).toEqual(
    expect.arrayContaining([
      'prompt is required',
      'short must not be empty',
      'long must have at most 3 characters',
      'low must be at least 1',
      'high must be at most 3',
      'above must be more than 0',
      'below must be less than 1',
      'step must be a multiple of 8',
      'whole must be a whole number',
      'either must be a string or null',
      'few must have at least 1 item',
      'many must have at most 2 items',
      'many must not have the same item twice',
      'style must be one of ink, oil, 7',
      'mail must be an e-mail address',
      'code must match the pattern ^[a-z]$',
      'shape must fit one of the shapes that the model takes there',
    ]),
  )
  expect(said.join('; ')).not.toMatch(/NOT|[<>]=?|must be (string|number|integer)/)
})

test('several wrong fields of the request are all named', async () => {
  const reply = await create({ model: 5, stream: 'yes', tags: [] })
  expect(new Set(refusalOf(reply).fields)).toEqual(new Set(['model', 'stream', 'tags']))
})

test('a near miss of input is called out', async () => {
  const reply = await call('POST /v1/predictions', { body: { model: 'echo', inputs: {} } })

  expect(refusalOf(reply)).toEqual({ status: 400, id: 'INVALID_INPUT', fields: ['input'] })
  expect(reply.body.error.message).toContain('did you mean "input"?')
})

test('fields that are not ours are ignored and named back', async () => {
  const reply = await create({ edition: 'abc', größe: 1 })

  expect(reply.status).toBe(201)
  expect(reply.headers.get('x-ignored-fields')?.split(', ').map(decodeURIComponent)).toEqual([
    'edition',
    'größe',
  ])
})

test.each([
  ['runat', 'run_at', new Date(Date.now() + 3_600_000).toISOString()],
  ['expires', 'expires_in', 60],
  ['priorty', 'priority', 'high'],
  ['webhooks', 'webhook', 'http://127.0.0.1:9/'],
])('%s is ignored, and the reply asks whether %s was meant', async (sent, meant, value) => {
  const hint = `"${sent}" is no field of this request and was ignored; did you mean "${meant}"?`
  const fields = { [sent]: value, edition: 2 }

  const reply = await create(fields)
  expect([reply.status, reply.body.metadata.hints]).toEqual([201, [hint]])
  expect(reply.headers.get('x-ignored-fields')?.split(', ')).toEqual([sent, 'edition'])
  expect(reply.headers.get('x-did-you-mean')).toBe(`${sent}=${meant}`)
  expect((await call(`GET /v1/predictions/${reply.body.id}`)).body.metadata).not.toHaveProperty('hints')

  const job = await call('POST /v1/run', { body: { model: 'echo', inputs: {}, async: true, ...fields } })
  expect([job.status, job.body._tip]).toEqual([202, hint])
  expect(job.headers.get('x-did-you-mean')).toBe(`${sent}=${meant}`)
})

test('only what is close to a field of ours is taken for it', async () => {
  const reply = await create({ edition: 'abc', user: 'me', seed: 7, größe: 1 })
  expect(reply.headers.get('x-did-you-mean')).toBeNull()
  expect(reply.body.metadata).not.toHaveProperty('hints')
})

test.each([
  ['no-such', ''],
  ['x'.repeat(1000), ''],
  ['dodle', ' Did you mean "doodle"?'],
  ['ehco', ' Did you mean "echo"?'],
  ['Doodle-Vido', ' Did you mean "doodle-video"?'],
  ['up-scale', ' Did you mean "upscale"?'],
])('the unknown model %s is 404%s', async (model, hint) => {
  const reply = await create({ model })
  expect(refusalOf(reply)).toMatchObject({ status: 404, id: 'MODEL_NOT_FOUND' })
  expect(reply.body.error.message).toBe(`There is no model "${model.slice(0, 200)}".${hint}`)
})

describe('time limits', () => {
  test('those of the request are kept, others are of the model', async () => {
    const { body } = await create({ timeouts: { run: 7 } })
    expect(await timeoutsOf(body.id)).toEqual({ start: 600, run: 7 })
  })

  test('the caps themselves are allowed', async () => {
    const { body } = await create({ timeouts: { start: 3600, run: 3600 } })
    expect(await timeoutsOf(body.id)).toEqual({ start: 3600, run: 3600 })
  })

  async function timeoutsOf(id: string) {
    const query = service.db.kysely.selectFrom('predictions').select('timeouts').where('id', '=', uuidOf(id))
    return (await query.executeTakeFirstOrThrow()).timeouts
  }
})

test('what is refused leaves nothing behind', async () => {
  const before = await count()
  await Promise.all([
    create({ webhook: 'ftp://x/' }),
    create({ model: 'no-such' }),
    call('POST /v1/predictions', { body: { model: 'upscale', input: { image: 'http://10.0.0.1/a.png' } } }),
  ])
  expect(await count()).toBe(before)

  async function count() {
    const { rows } = await service.db.pool.query<{ count: number }>(
      `select count(*) from predictions where model = 'upscale' or model = 'no-such' or webhook::text like '%ftp:%'`,
    )
    return rows[0]?.count
  }
})

test('our command line shows as its source', async () => {
  expect((await create({}, { 'user-agent': 'millrace-cli/1.0' })).body.source).toBe('cli')
})

test('NUL and lone surrogates become U+FFFD', async () => {
  const { body } = await call('POST /v1/predictions', {
    raw: '{"model":"echo","input":{"a\\u0000":"b\\u0000c\\ud800"},"tags":{"t":"\\udfff"}}',
  })
  expect(body.input).toEqual({ 'a\uFFFD': 'b\uFFFDc\uFFFD' })
  expect(body.metadata.tags).toEqual({ t: '\uFFFD' })
})

test('numbers, order and text of an input come back as they were sent', async () => {
  const input = {
    z: 1,
    a: [1.5, -0.25, 9_007_199_254_740_991],
    text: 'Grüße 🏭 \u2028',
    deep: { b: null, a: true },
  }
  const { body } = await create({ input })
  expect(JSON.stringify(body.input)).toBe(JSON.stringify(input))
})
