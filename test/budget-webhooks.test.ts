import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { givenMoney } from './given-credits.ts'
import { type Receiver, startReceiver } from './harness/receiver.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

let service: Service
let receiver: Receiver
let models: string
let admin: ApiCaller
beforeAll(async () => {
  models = await mkdtemp(join(tmpdir(), 'millrace-budgets-'))
  await writeFile(
    join(models, 'dear.mjs'),
    `export default {
       namespace: 'dear', type: 'text', concurrency: 8, input_schema: { type: 'object' },
       pricing: { amount: 1, unit: 'prediction' },
       run: ({ broken }) => { if (broken) throw new Error('broken'); return 'done' },
     }`,
  )
  await writeFile(
    join(models, 'talker.mjs'),
    `export default {
       namespace: 'talker', type: 'text', apis: ['chat'], input_schema: { type: 'object' },
       pricing: { amount: 1, unit: 'request' },
       async *run() { yield 'hello' },
     }`,
  )
  receiver = await startReceiver()
  service = await startService({ queue: 'redis', apis: 2, env: { MODELS_DIR: models } })
  admin = callerOf(service.url, service.adminKey)
})
afterAll(async () => {
  await service.stop()
  await receiver.close()
  await rm(models, { recursive: true, force: true })
})

beforeEach(async () => {
  receiver.requests.length = 0
  await service.db.kysely.deleteFrom('budgets').execute()
  await service.db.kysely.deleteFrom('webhook_endpoints').execute()
  await givenMoney(service.db, service.accountId, 1_000_000_000)
})

test('of 200 creates at two apis at once just those that fit are accepted, and its threshold is told once', async () => {
  const path = (name: string) => `${receiver.url}${name}`
  const told = await endpoint(path('told'), ['budget.threshold'])
  await endpoint(path('thin'), ['*'], 'thin')
  await endpoint(path('others'), ['prediction.created', 'balance.low', 'webhook.disabled'])
  const body = { hard_cap: 50, thresholds: [{ percent: 80 }], name: 'ours' }
  const { id } = (await admin('POST /v1/budgets', { body })).body

  const callers = service.urls.map((url) => callerOf(url, service.apiKey))
  const replies = await Promise.all(
    Array.from({ length: 200 }, (_, nth) => callers[nth % 2]?.('POST /v1/predictions', { body: prediction })),
  )

  const accepted = replies.filter((reply) => reply?.status === 201)
  expect(accepted).toHaveLength(50)
  for (const reply of replies) {
    if (reply && reply.status !== 201)
      expect(refusalOf(reply)).toMatchObject({ status: 402, id: 'BUDGET_EXCEEDED' })
  }
  const over = replies.find((reply) => reply?.status === 402)
  expect(over?.text).toContain(id)
  await until(async () => (await shown(id)).spent === 50, {
    what: 'all of them to be charged',
    within: 60_000,
  })
  expect(await shown(id)).toMatchObject({ held: 0, remaining: 0 })

  const ofBudgets = () =>
    receiver.requests.filter(({ headers }) => headers['webhook-event'] === 'budget.threshold')
  await until(() => ofBudgets().length >= 2, { what: 'two endpoints to be told' })
  await until(noneDue, { what: 'all deliveries to be over', within: 60_000 })
  expect(
    ofBudgets()
      .map((request) => request.path)
      .sort(),
  ).toEqual(['/thin', '/told'])
  const whole = ofBudgets().find((request) => request.path === '/told')
  const headers = whole?.headers as Record<string, string>
  expect(new Webhook(await secretOf(told)).verify(whole?.body ?? '', headers)).toMatchObject({
    type: 'budget.threshold',
    data: { ...body, id, threshold: { percent: 80 }, spent: expect.any(Number) },
  })
  const thin = JSON.parse(ofBudgets().find((request) => request.path === '/thin')?.body ?? '')
  expect(thin).toEqual({ type: 'budget.threshold', timestamp: expect.any(String), data: { id } })
})

test('a balance that falls below the warning is told', async () => {
  const id = await endpoint(receiver.url, ['balance.low'])
  await givenMoney(service.db, service.accountId, 10_500_000)
  await callerOf(service.url, service.apiKey)('POST /v1/predictions', { body: prediction })

  const [request] = await receiver.received(1)

  const headers = request?.headers as Record<string, string>
  expect(new Webhook(await secretOf(id)).verify(request?.body ?? '', headers)).toEqual({
    type: 'balance.low',
    timestamp: expect.any(String),
    data: { id: expect.stringMatching(/^acct_/), balance: 9.5, warning_credits: 10 },
  })
})

test('a failed prediction leaves its budget as it was', async () => {
  const { id } = (await admin('POST /v1/budgets', { body: { hard_cap: 1 } })).body
  const body = { model: 'dear', input: { broken: true }, await: true }
  expect((await admin('POST /v1/predictions', { body })).body).toMatchObject({ status: 'failed' })
  expect(await shown(id)).toMatchObject({ spent: 0, held: 0, remaining: 1 })
})

test('a chat counts, and is refused beyond its budget in the shape of inference', async () => {
  const { id } = (await admin('POST /v1/budgets', { body: { hard_cap: 1 } })).body
  const body = { model: 'talker', messages: [{ role: 'user', content: 'x' }] }
  expect((await admin('POST /v1/chat/completions', { body })).status).toBe(200)
  await until(async () => (await shown(id)).spent === 1, { what: 'the call to be charged' })

  const refused = await admin('POST /v1/chat/completions', { body })
  expect(refused).toMatchObject({
    status: 402,
    body: { error: { type: 'insufficient_balance', error_id: 'BUDGET_EXCEEDED' } },
  })
  expect(refused.text).toContain(id)
})

test('a free model is not refused by any budget', async () => {
  await admin('POST /v1/budgets', { body: { hard_cap: 0 } })
  const free = { model: 'echo', input: { text: 'x' } }
  expect((await admin('POST /v1/predictions', { body: free })).status).toBe(201)
  expect(refusalOf(await admin('POST /v1/predictions', { body: prediction }))).toMatchObject({
    status: 402,
    id: 'BUDGET_EXCEEDED',
  })
})

const prediction = { model: 'dear', input: {} }

async function endpoint(url: string, events: string[], format = 'envelope'): Promise<string> {
  const { status, body } = await admin('POST /v1/webhooks', { body: { url, events, format } })
  expect(status).toBe(201)
  return body.id
}

const secretOf = async (id: string) => (await admin(`GET /v1/webhooks/${id}/secret`)).body.secret as string

const shown = async (id: string) => (await admin(`GET /v1/budgets/${id}`)).body

async function noneDue(): Promise<boolean> {
  const { rows } = await service.db.pool.query(
    `select exists (select from deliveries where completed_at is null) or exists (select from account_events) as due`,
  )
  return rows[0]?.due === false
}
