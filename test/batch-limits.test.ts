import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiCaller, callerOf } from './api-caller.ts'
import { givenAccountOn } from './given-plans.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

let service: Service
beforeAll(async () => {
  service = await startService({ queue: 'redis', dispatchers: 0 })
})
afterAll(() => service.stop())

const prediction = (custom_id: string) => ({
  custom_id,
  method: 'POST',
  url: '/v1/predictions',
  body: { model: 'echo', input: {} },
})
const chat = (custom_id: string) => ({
  custom_id,
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'parrot', messages: [{ role: 'user', content: 'one two three' }] },
})
const some = (count: number, line: (id: string) => { custom_id: string }) =>
  Array.from({ length: count }, (_, n) => line(`line-${n}`))

test('the lines of a batch wait for the rates of their account, and none fails for them', async () => {
  const { apiKey } = await givenAccountOn(service, {
    limits: {
      families: { inference: { requests: 3, tokens_in: 20, window: 1 } },
      models: { echo: { requests: 3, window: 1 } },
      max_waiting: 2,
    },
  })
  const call = callerOf(service.url, apiKey)
  const lines = [...some(8, prediction), ...some(8, (id) => chat(`chat-${id}`))]

  const batch = await ended(call, await batchOf(call, lines))

  expect(batch).toMatchObject({
    status: 'completed',
    request_counts: { total: 16, completed: 16, failed: 0 },
  })
  const { text } = await call(`GET /v1/files/${batch.output_file_id}/content`)
  const answers = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(answers.map(({ custom_id }) => custom_id)).toEqual(lines.map(({ custom_id }) => custom_id))
}, 120_000)

test.each([
  ['predictions', prediction],
  ['calls for inference', chat],
] as const)(
  'no more %s of a batch begin than the rates allow, and the rest when they allow more',
  async (_, line) => {
    const rate = { requests: 2, window: 3600 }
    const { apiKey, accountId } = await givenAccountOn(service, {
      limits: { models: { echo: rate, parrot: rate } },
    })
    const call = callerOf(service.url, apiKey)
    const id = await batchOf(call, some(5, line))
    await until(async () => (await countsOf(call, id)).completed === 2, {
      what: 'as many as the rate allows',
    })
    const outside = await call(`POST ${line('').url}`, { body: line('').body })

    expect(outside.status).toBe(429)
    expect(await countsOf(call, id)).toEqual({ total: 5, completed: 2, failed: 0 })
    await service.db.pool.query(`update accounts set plan = 'unlimited' where id = $1`, [accountId])
    expect(await ended(call, id)).toMatchObject({ request_counts: { total: 5, completed: 5, failed: 0 } })
  },
  120_000,
)

async function batchOf(call: ApiCaller, lines: object[]): Promise<string> {
  const form = new FormData()
  form.set('purpose', 'batch')
  form.set('file', new Blob([lines.map((line) => JSON.stringify(line)).join('\n')]), 'in.jsonl')
  const file = await call('POST /v1/files', { raw: form })
  const { body } = await call('POST /v1/batches', {
    body: { input_file_id: file.body.id, completion_window: '24h' },
  })
  return body.id
}

async function countsOf(call: ApiCaller, id: string) {
  return (await call(`GET /v1/batches/${id}`)).body.request_counts
}

function ended(call: ApiCaller, id: string) {
  return until(
    async () => {
      const { body } = await call(`GET /v1/batches/${id}`)
      return ['completed', 'cancelled', 'expired', 'failed'].includes(body.status) && body
    },
    { what: 'the end of the batch', within: 90_000 },
  )
}
