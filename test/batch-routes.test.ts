import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { givenAccount } from './given-accounts.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

let service: Service
let call: ApiCaller
let client: OpenAI
beforeAll(async () => {
  service = await startService({ queue: 'redis', workers: 1, dispatchers: 0 })
  call = callerOf(service.url, service.apiKey)
  client = new OpenAI({ apiKey: service.apiKey, baseURL: `${service.url}/v1` })
})
afterAll(() => service.stop())

const line = (custom_id: string, input: object, model = 'echo') => ({
  custom_id,
  method: 'POST',
  url: '/v1/predictions',
  body: { model, input },
})
const jsonl = (lines: unknown[]) => lines.map((one) => JSON.stringify(one)).join('\n')
const nested = (levels: number) =>
  jsonl([line('a', { n: 1 })]).replace('1}', `${'['.repeat(levels)}${']'.repeat(levels)}}`)
const parsed = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((one) => JSON.parse(one))

test("OpenAI's client uploads a file, runs it as a batch and reads the answers", async () => {
  const lines = [line('b', { n: 1 }), line('a', { fail: 'on purpose' }), line('c', { n: 3 })]
  const file = await client.files.create({
    file: await toFile(Buffer.from(jsonl(lines)), 'in.jsonl'),
    purpose: 'batch',
  })
  const made = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/predictions' as '/v1/responses',
    completion_window: '24h',
    metadata: { night: 'shift' },
  })
  expect(made).toMatchObject({
    object: 'batch',
    status: 'validating',
    input_file_id: file.id,
    metadata: { night: 'shift' },
  })

  const batch = await ended(made.id)
  expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 3, completed: 2, failed: 1 } })
  expect(batch.completed_at).toBeGreaterThanOrEqual(batch.created_at)

  const output = parsed(await (await client.files.content(batch.output_file_id ?? '')).text())
  expect(
    output.map(({ custom_id }) => custom_id),
    'in the order of the lines',
  ).toEqual(['b', 'c'])
  expect(output[0]).toMatchObject({
    error: null,
    response: { status_code: 200, body: { status: 'succeeded', output: { n: 1 }, model: { name: 'echo' } } },
  })
  const errors = parsed(await (await client.files.content(batch.error_file_id ?? '')).text())
  expect(errors).toMatchObject([
    {
      custom_id: 'a',
      response: { body: { status: 'failed' } },
      error: { code: 'MODEL_ERROR', message: 'on purpose' },
    },
  ])
  const listed = await client.batches.list({ limit: 1 })
  expect(listed.data).toMatchObject([{ id: made.id, status: 'completed' }])
})

test('requests come inline as well; one that is refused has the reply that it would have had', async () => {
  const requests = [
    line('good', { n: 1 }),
    line('no model', {}, 'nobody'),
    line('wrong', { prompt: 7 }, 'doodle'),
  ]
  const { body: made } = await call('POST /v1/batches', { body: { requests } })
  const batch = await ended(made.id)
  expect(batch.request_counts).toEqual({ total: 3, completed: 1, failed: 2 })
  const errors = parsed((await call(`GET /v1/files/${batch.error_file_id}/content`)).text)
  expect(errors).toMatchObject([
    {
      custom_id: 'no model',
      response: { status_code: 404, body: { error: { error_id: 'MODEL_NOT_FOUND' } } },
    },
    { custom_id: 'wrong', response: { status_code: 400, body: { error: { error_id: 'INVALID_INPUT' } } } },
  ])
})

test('lines that are large together are run a part at a time, and all are answered in order', async () => {
  const text = 'x'.repeat(700_000)
  const lines = Array.from({ length: 14 }, (_, n) => line(`${n}`, { n, text }))
  const file = await client.files.create({
    file: await toFile(Buffer.from(jsonl(lines)), 'in.jsonl'),
    purpose: 'batch',
  })
  const { id } = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/predictions' as '/v1/responses',
    completion_window: '24h',
  })
  const batch = await ended(id)
  expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 14, completed: 14 } })
  const output = parsed(await (await client.files.content(batch.output_file_id ?? '')).text())
  expect(output.map(({ response }) => response.body.output.n)).toEqual(lines.map((_, n) => n))
})

test.each([
  ['text that is no JSON', 'not json', 'invalid_json_line', 1],
  ['a custom_id that is there twice', jsonl([line('a', {}), line('a', {})]), 'duplicate_custom_id', 2],
  ['a line that aims elsewhere', jsonl([{ ...line('a', {}), url: '/v1/nowhere' }]), 'invalid_request', 1],
  ['a mistake behind empty lines', `${jsonl([line('a', {})])}\n\n \r\nnot json`, 'invalid_json_line', 4],
  ['a line that is 10,000 levels deep', nested(10_000), 'invalid_request', 1],
  [
    'a number that no double can hold',
    jsonl([line('a', { n: 1 })]).replace('1}', '1e999}'),
    'invalid_request',
    1,
  ],
  ['no lines', '\n\n', 'empty_file', null],
])(
  'a file with %s fails whole, says in which line, and nothing of it is run',
  async (_what, text, code, at) => {
    const file = await client.files.create({
      file: await toFile(Buffer.from(text), 'in.jsonl'),
      purpose: 'batch',
    })
    const { body: made } = await call('POST /v1/batches', { body: { input_file_id: file.id } })
    const batch = await ended(made.id)
    expect(batch).toMatchObject({
      status: 'failed',
      errors: { data: [{ code, line: at }] },
      output_file_id: null,
    })
    const { rows } = await service.db.pool.query(
      'select from batch_lines l join batches b on b.id = l.batch_id where b.total > 0 and b.status = $1',
      ['failed'],
    )
    expect(rows).toEqual([])
  },
)

test('fields of its lines that mean nothing are named once each, and stop it not', async () => {
  const lines = ['a', 'b'].map((id) => ({
    ...line(id, {}),
    customid: id,
    body: { ...line(id, {}).body, runat: 'x', edition: 3 },
  }))
  const { body: made } = await call('POST /v1/batches', { body: { requests: lines, completion_windw: '1h' } })
  const file = await client.files.create({
    file: await toFile(Buffer.from(jsonl(lines)), 'in.jsonl'),
    purpose: 'batch',
  })
  const uploaded = await call('POST /v1/batches', {
    body: { input_file_id: file.id, completion_windw: '1h' },
  })
  expect(uploaded.headers.get('x-did-you-mean')).toBe('completion_windw=completion_window')

  const [inline, ofFile] = [await ended(made.id), await ended(uploaded.body.id)]
  const note = (param: string, hint: string) => ({
    code: 'ignored_field',
    param,
    line: 1,
    message: `"${param}" is no field of a request and is ignored${hint}`,
  })
  const ofBodies = [note('runat', '; did you mean "run_at"?'), note('edition', '.')]
  expect(ofFile).toMatchObject({ status: 'completed', request_counts: { completed: 2 } })
  expect(ofFile.errors?.data).toEqual([note('customid', '; did you mean "custom_id"?'), ...ofBodies])
  expect(inline.errors?.data, 'what was around them is gone').toEqual(ofBodies)
})

test('a batch that is cancelled keeps what it did, and says of the rest that it was not run', async () => {
  const slow = { delay_ms: 60_000 }
  const requests = [line('quick', { n: 1 }), ...Array.from({ length: 40 }, (_, n) => line(`slow ${n}`, slow))]
  const { body: made } = await call('POST /v1/batches', { body: { requests } })
  await until(async () => (await client.batches.retrieve(made.id)).request_counts?.completed === 1, {
    what: 'the first answer',
    within: 20_000,
  })
  const asked = await client.batches.cancel(made.id)
  expect(asked.status).toBe('cancelling')

  const batch = await ended(made.id)
  expect(batch).toMatchObject({
    status: 'cancelled',
    request_counts: { total: 41, completed: 1, failed: 40 },
  })
  const errors = parsed(await (await client.files.content(batch.error_file_id ?? '')).text())
  expect(errors).toHaveLength(40)
  expect(new Set(errors.map(({ error }) => error.code))).toEqual(new Set(['cancelled']))
  const { body: left } = await call('GET /v1/predictions?status=processing')
  expect(left.data).toEqual([])
  expect((await call(`POST /v1/batches/${made.id}/cancel`)).body, 'again').toMatchObject({
    status: 'cancelled',
  })
})

test('what is not done when its window is over is not run', async () => {
  const requests = [line('a', { delay_ms: 60_000 })]
  const { body: made } = await call('POST /v1/batches', { body: { requests, completion_window: '1h' } })
  await until(async () => (await client.batches.retrieve(made.id)).in_progress_at, { what: 'its begin' })
  await service.db.pool.query(
    `update batches set expires_at = clock_timestamp() where status = 'in_progress'`,
  )
  const batch = await ended(made.id)
  expect(batch).toMatchObject({ status: 'expired', request_counts: { completed: 0, failed: 1 } })
})

test('an Idempotency-Key makes one batch, and keeps its lines once', async () => {
  const { accountId, apiKey } = await givenAccount(service)
  const call = callerOf(service.url, apiKey)
  const body = { requests: [line('a', { n: 1 })] }
  const headers = { 'idempotency-key': 'the same batch' }
  const replies = await Promise.all(
    Array.from({ length: 8 }, () => call('POST /v1/batches', { body, headers })),
  )
  expect(new Set(replies.map((reply) => reply.body.id)).size).toBe(1)
  expect(replies.filter((reply) => reply.headers.get('idempotency-replayed') === 'true')).toHaveLength(7)
  const other = await call('POST /v1/batches', { body: { requests: [line('b', {})] }, headers })
  expect(refusalOf(other)).toMatchObject({ status: 422, id: 'IDEMPOTENCY_KEY_REUSED' })
  const { rows } = await service.db.pool.query(
    `select from files where account_id = $1 and purpose = 'batch'`,
    [accountId],
  )
  expect(rows).toHaveLength(1)
})

test('its lines are kept as long as uploads of the account are, and until it must have ended', async () => {
  const { accountId, apiKey } = await givenAccount(service)
  await service.db.pool.query('update accounts set retention_files_days = 1.5 where id = $1', [accountId])
  const call = callerOf(service.url, apiKey)
  const daysOf = async (completion_window: string) => {
    const requests = [line('a', { n: 1 })]
    const { body } = await call('POST /v1/batches', { body: { requests, completion_window } })
    const { created_at, expires_at } = (await call(`GET /v1/files/${body.input_file_id}`)).body
    return Math.round(((expires_at - created_at) / 86_400) * 100) / 100
  }
  expect([await daysOf('1h'), await daysOf('2d')]).toEqual([1.5, 3])
})

test('a batch whose api is killed goes on in another one, and runs nothing twice', async () => {
  const own = await startService({ queue: 'redis', apis: 2, workers: 1, dispatchers: 0 })
  onTestFinished(() => own.stop())
  const requests = Array.from({ length: 300 }, (_, n) => line(`${n}`, { n, delay_ms: 20 }))
  const { body: made } = await callerOf(own.url, own.apiKey)('POST /v1/batches', { body: { requests } })
  const isUnderWay = async () => {
    const { rows } = await own.db.pool.query('select from batches where read_lines > 0')
    return rows.length === 1
  }
  await until(isUnderWay, { what: 'somebody to work on it', within: 20_000 })
  // Whichever of the two leads it: one of them is killed, and its batch is led by the other.
  await own.processes.find(({ app }) => app === 'api')?.kill()
  const other = callerOf(own.urls[1] ?? '', own.apiKey)
  const batch = await until(
    async () => {
      const { body } = await other(`GET /v1/batches/${made.id}`)
      return body.status === 'completed' && body
    },
    { what: 'the end', within: 60_000 },
  )
  expect(batch.request_counts).toEqual({ total: 300, completed: 300, failed: 0 })
  const { rows } = await own.db.pool.query(
    `select count(*) as runs, count(distinct input->>'n') as lines from predictions`,
  )
  expect(rows).toEqual([{ runs: 300, lines: 300 }])
}, 120_000)

test("another account's batch and file are as if they never were", async () => {
  const { body: made } = await call('POST /v1/batches', { body: { requests: [line('a', { n: 1 })] } })
  const batch = await ended(made.id)
  const stranger = callerOf(service.url, (await givenAccount(service)).apiKey)
  for (const request of [`GET /v1/batches/${made.id}`, `POST /v1/batches/${made.id}/cancel`]) {
    expect(refusalOf(await stranger(request)), request).toMatchObject({ status: 404, id: 'BATCH_NOT_FOUND' })
  }
  expect((await stranger(`GET /v1/files/${batch.output_file_id}/content`)).status).toBe(404)
  expect((await stranger('POST /v1/batches', { body: { input_file_id: batch.input_file_id } })).status).toBe(
    404,
  )
  expect((await stranger('GET /v1/batches')).body).toMatchObject({ data: [], has_more: false, last_id: null })
})

test.each([
  ['neither a file nor requests', {}, 'input_file_id'],
  ['both', { input_file_id: 'file_x', requests: [line('a', {})] }, 'input_file_id'],
  [
    'a window of no known length',
    { requests: [line('a', {})], completion_window: 'soon' },
    'completion_window',
  ],
  ['a line without a body', { requests: [{ custom_id: 'a', url: '/v1/predictions' }] }, 'requests.0.body'],
])('a request with %s is refused and says what is wrong', async (_what, body, field) => {
  expect(refusalOf(await call('POST /v1/batches', { body }))).toEqual({
    status: 400,
    id: 'INVALID_PARAMETER',
    fields: [field],
  })
})

test('batches are listed newest first, page by page', async () => {
  const made: string[] = []
  for (let n = 0; n < 3; n++) {
    made.push((await call('POST /v1/batches', { body: { requests: [line('a', { n })] } })).body.id)
  }
  const seen: string[] = []
  for await (const batch of client.batches.list({ limit: 2 })) seen.push(batch.id)
  expect(seen.slice(0, 3)).toEqual(made.toReversed())
  expect(new Set(seen).size).toBe(seen.length)
})

async function ended(id: string) {
  return until(
    async () => {
      const found = await client.batches.retrieve(id)
      return ['completed', 'failed', 'expired', 'cancelled'].includes(found.status) && found
    },
    { what: `the end of ${id}`, within: 60_000 },
  )
}
