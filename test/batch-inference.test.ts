import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

let service: Service
let client: OpenAI
beforeAll(async () => {
  service = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  client = new OpenAI({ apiKey: service.apiKey, baseURL: `${service.url}/v1` })
})
afterAll(() => service.stop())

const chat = (custom_id: string, content: string, more: object = {}) => ({
  custom_id,
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'parrot', messages: [{ role: 'user', content }], ...more },
})
const embedding = (custom_id: string, input: string) => ({
  custom_id,
  method: 'POST',
  url: '/v1/embeddings',
  body: { model: 'hash-embed', input, dimensions: 8 },
})

test('chat and embeddings are answered as they would be over HTTP, each with a row in the log', async () => {
  const made = await batchOf([
    chat('talk', 'a mill by a river'),
    embedding('vector', 'a mill'),
    chat('nobody', 'x', { model: 'no-such' }),
    chat('streamed', 'x', { stream: true }),
    chat('broken', '/fail 0'),
    { ...chat('wrong', 'x'), body: { model: 'parrot' } },
  ])
  const batch = await ended(made.id)
  const [good, bad] = await Promise.all([linesOf(batch.output_file_id), linesOf(batch.error_file_id)])

  expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 6, completed: 2, failed: 4 } })
  expect(good).toMatchObject([
    {
      id: expect.any(String),
      custom_id: 'talk',
      error: null,
      response: {
        status_code: 200,
        request_id: expect.stringMatching(/^req_/),
        body: {
          object: 'chat.completion',
          model: 'parrot',
          choices: [{ message: { content: 'a mill by a river' } }],
          usage: { total_tokens: 10 },
        },
      },
    },
    {
      custom_id: 'vector',
      error: null,
      response: { body: { object: 'list', data: [{ index: 0, embedding: expect.any(Array) }] } },
    },
  ])
  expect(
    bad.map(({ custom_id, response, error }) => [
      custom_id,
      response.status_code,
      response.body.error.code,
      error,
    ]),
  ).toEqual([
    ['nobody', 404, 'model_not_found', null],
    ['streamed', 400, 'invalid_parameter', null],
    ['broken', 502, 'service_error', null],
    ['wrong', 400, 'invalid_parameter', null],
  ])
  const ids = [...good, ...bad.slice(0, 1), ...bad.slice(2, 3)].map(({ response }) => response.request_id)
  await until(async () => (await rowsOf(ids)).length === 4, { what: 'a row for each that was run' })
  expect(await rowsOf(ids)).toMatchObject([
    { surface: 'chat', status: 'succeeded' },
    { surface: 'embeddings', status: 'succeeded' },
    { surface: 'chat', status: 'failed', error_id: 'MODEL_NOT_FOUND' },
    { surface: 'chat', status: 'failed', error_id: 'INFERENCE_ERROR' },
  ])
}, 60_000)

test('what is cancelled is broken off, and what was done is in the files', async () => {
  const made = await batchOf([chat('done', 'x'), chat('stalled', 'x y /stall 1')])
  await until(async () => (await client.batches.retrieve(made.id)).request_counts?.completed === 1, {
    what: 'the first answer',
    within: 20_000,
  })
  await client.batches.cancel(made.id)
  const batch = await ended(made.id)

  expect(batch).toMatchObject({ status: 'cancelled', request_counts: { completed: 1, failed: 1 } })
  expect(await linesOf(batch.output_file_id)).toMatchObject([{ custom_id: 'done' }])
  expect(await linesOf(batch.error_file_id)).toMatchObject([
    { custom_id: 'stalled', response: null, error: { code: 'batch_cancelled' } },
  ])
}, 60_000)

test('a batch whose window is over keeps what it did', async () => {
  const made = await batchOf([chat('done', 'x'), chat('stalled', 'x y /stall 1')])
  await until(async () => (await client.batches.retrieve(made.id)).request_counts?.completed === 1, {
    what: 'the first answer',
    within: 20_000,
  })
  await service.db.pool.query(`update batches set expires_at = now() where ended_at is null`)
  const batch = await ended(made.id)

  expect(batch).toMatchObject({ status: 'expired', request_counts: { completed: 1, failed: 1 } })
  expect(await linesOf(batch.error_file_id)).toMatchObject([{ error: { code: 'batch_expired' } }])
}, 60_000)

test('an api that is killed in the middle loses no line and no answer', async () => {
  const lines = Array.from({ length: 500 }, (_, n) =>
    n % 2 === 0 ? chat(`line-${n}`, `${n} /slow 100`) : embedding(`line-${n}`, `${n}`),
  )
  const made = await batchOf(lines)
  await until(async () => ((await client.batches.retrieve(made.id)).request_counts?.completed ?? 0) > 50, {
    what: 'some answers',
    within: 30_000,
  })
  await service.processes[0]?.kill()
  await service.start('api', { PORT: new URL(service.url).port })

  const batch = await ended(made.id)
  const answers = await linesOf(batch.output_file_id)

  expect(batch.request_counts).toEqual({ total: 500, completed: 500, failed: 0 })
  expect(answers.map(({ custom_id }) => custom_id)).toEqual(lines.map(({ custom_id }) => custom_id))
  for (const { custom_id, response } of answers.filter(({ response: { body } }) => body.choices))
    expect(`line-${response.body.choices[0].message.content}`).toBe(custom_id)
}, 120_000)

async function batchOf(lines: unknown[]) {
  const text = lines.map((line) => JSON.stringify(line)).join('\n')
  const file = await client.files.create({
    file: await toFile(Buffer.from(text), 'in.jsonl'),
    purpose: 'batch',
  })
  // Lines of several kinds: a batch of one kind may say so in `endpoint`.
  const body = { input_file_id: file.id, completion_window: '24h' }
  return client.post<OpenAI.Batch>('/batches', { body })
}

function ended(id: string): Promise<OpenAI.Batch> {
  return until(
    async () => {
      const batch = await client.batches.retrieve(id)
      return ['completed', 'cancelled', 'expired', 'failed'].includes(batch.status) && batch
    },
    { what: 'the end of the batch', within: 90_000 },
  )
}

async function linesOf(fileId: string | undefined | null) {
  const text = await (await client.files.content(fileId ?? '')).text()
  return text
    .trim()
    .split('\n')
    .map((one) => JSON.parse(one))
}

async function rowsOf(ids: string[]) {
  const { rows } = await service.db.pool.query(
    `select * from requests where request_id = any($1) and status <> 'running' order by array_position($1, request_id)`,
    [ids],
  )
  return rows
}
