import OpenAI, { toFile } from 'openai'
import { expect, onTestFinished, test } from 'vitest'
import { startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

const lines = 10_000

test('a batch of 10,000 lines is run, each once, and answered in their order', {
  timeout: 240_000,
}, async () => {
  const env = { CONCURRENCY: '32' }
  const service = await startService({ queue: 'redis', dispatchers: 0, env })
  onTestFinished(() => service.stop())
  const client = new OpenAI({ apiKey: service.apiKey, baseURL: `${service.url}/v1` })
  const requests = Array.from({ length: lines }, (_, n) =>
    JSON.stringify({
      custom_id: `line ${n}`,
      method: 'POST',
      url: '/v1/predictions',
      body: { model: 'echo', input: { n } },
    }),
  )
  const file = await client.files.create({
    file: await toFile(Buffer.from(requests.join('\n')), 'in.jsonl'),
    purpose: 'batch',
  })
  const { id } = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/predictions' as '/v1/responses',
    completion_window: '24h',
  })

  const batch = await until(
    async () => {
      const found = await client.batches.retrieve(id)
      return found.status === 'completed' && found
    },
    { within: 220_000, what: 'the end of the batch' },
  )

  expect(batch).toMatchObject({
    request_counts: { total: lines, completed: lines, failed: 0 },
    error_file_id: null,
  })
  const output = await (await client.files.content(batch.output_file_id ?? '')).text()
  const answers = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(answers.map(({ custom_id, response }) => [custom_id, response.body.output.n])).toEqual(
    requests.map((_, n) => [`line ${n}`, n]),
  )
  const { rows } = await service.db.pool.query('select count(*) as made from predictions')
  expect(rows).toEqual([{ made: lines }])
})
