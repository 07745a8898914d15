import { afterAll, expect, onTestFinished, test } from 'vitest'
import { startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

const service = await startService({ queue: 'postgres', workers: 0, dispatchers: 0 })
afterAll(() => service.stop())

test('of more creates than may wait to be stored the excess is refused whole and at once, and the others are stored', async () => {
  const holder = await service.db.pool.connect()
  onTestFinished(() => holder.release())
  await holder.query('begin')
  await holder.query('lock table runs in share mode')
  const statuses: number[] = []
  const sent = Array.from({ length: 560 }, async (_, n) => {
    const answer = await create({ 'x-request-id': `flood-${n}` })
    statuses.push(answer.status)
    return answer
  })
  const answered = Promise.all(sent)

  await until(async () => statuses.includes(503), { what: 'the first refusal' })
  await holder.query('rollback')

  const answers = await answered
  const refused = answers.filter(({ status }) => status === 503)
  const accepted = answers.filter(({ status }) => status === 201)
  expect(refused.length + accepted.length).toBe(560)
  for (const { headers, body } of refused) {
    expect(headers.get('retry-after')).toBe('1')
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8')
    const requestId = headers.get('x-request-id')
    expect(requestId).toMatch(/^flood-\d+$/)
    expect(body).toMatchObject({
      error: { error_id: 'SERVICE_UNAVAILABLE', request_id: requestId, retryable: true },
    })
  }
  const { rows } = await service.db.pool.query('select count(*)::int as stored from predictions')
  expect(rows).toEqual([{ stored: accepted.length }])
})

async function create(headers: Record<string, string>) {
  const response = await fetch(`${service.url}/v1/predictions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${service.apiKey}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'echo', input: { prompt: 'one of many' } }),
  })
  return { status: response.status, headers: response.headers, body: (await response.json()) as unknown }
}
