import { toTypeId } from '@millrace/database/ids'
import { releaseLostCalls } from '@millrace/ledger/release-lost-calls'
import { freePort } from '@millrace/standalone/ports'
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callerOf, refusalOf } from './api-caller.ts'
import type { GivenAccount } from './given-accounts.ts'
import { type RemoteService, startRemoteService } from './given-hosts.ts'
import {
  creditsOf,
  givenPayer,
  givenPriced,
  held,
  messages,
  said,
  settled,
  used,
  vector,
} from './given-payers.ts'
import { until } from './harness/wait.ts'
import { chunked, completion, hello, whole } from './hosts/chat.ts'
import { loggedCall } from './logged-call.ts'
import { moneyOf } from './money-of.ts'

let service: RemoteService
beforeAll(async () => {
  service = await startRemoteService({ apis: 2, workers: 0, dispatchers: 0 })
})
afterAll(() => service.stop())

test('of two hundred calls at once in two processes as many go on as there is money for', async () => {
  const { model, host } = await givenPriced(service, () => undefined)
  const payer = await givenPayer(service, 37 * held + 5)
  const abort = new AbortController()
  const answers = Array.from({ length: 200 }, (_, at) =>
    fetch(`${service.urls[at % 2]}/v1/chat/completions`, {
      method: 'POST',
      signal: abort.signal,
      headers: { 'x-api-key': payer.apiKey, 'content-type': 'application/json' },
      body: JSON.stringify({ model, messages }),
    }).then(({ status }) => status),
  )
  const refused: number[] = []
  for (const answer of answers) answer.then((status) => refused.push(status)).catch(() => undefined)

  await until(() => refused.length + host.asked.length === 200, {
    within: 60_000,
    what: 'each to be refused or under way',
  })

  expect([host.asked.length, new Set(refused)]).toEqual([37, new Set([402])])
  expect(await moneyOf(service.db, payer.accountId)).toMatchObject({ held: 37 * held * 1_000_000 })
  abort.abort()
  expect(await settled(service, payer)).toEqual({ balance: 37 * held + 5, charges: 0 })
})

test('only who answered is paid, at the price of what was asked for', async () => {
  const payer = await givenPayer(service, 100)
  const broken = await givenPriced(service, whole(500, { error: { message: 'it broke' } }), {
    pricing: { amount: 100, unit: 'token' },
  })
  const spare = await givenPriced(service, said, { pricing: { amount: 10, unit: 'token' } })
  const { model } = await givenPriced(service, whole(503, {}), { fallbacks: [broken.model, spare.model] })

  const answer = await payer.call('POST /v1/chat/completions', { body: { model, messages } })

  expect(creditsOf(answer)).toEqual(['7', '93'])
  expect(await settled(service, payer)).toEqual({ balance: 93, charges: 1 })
  expect(await loggedCall(service, answer.headers.get('x-request-id'))).toMatchObject({
    served_model: spare.model,
    credits: 7_000_000,
  })
})

test('what is used beyond what was held is charged, and may take the balance below zero', async () => {
  const payer = await givenPayer(service, 40)
  const usage = { prompt_tokens: 30, completion_tokens: 10, total_tokens: 40 }
  const { model } = await givenPriced(service, whole(200, completion('Hello mill', { usage })))

  const answer = await payer.call('POST /v1/chat/completions', { body: { model, messages } })
  const next = await payer.call('POST /v1/chat/completions', { body: { model, messages } })

  expect([answer.status, ...creditsOf(answer)]).toEqual([200, '50', '-10'])
  expect(refusalOf(next)).toMatchObject({ status: 402, id: 'PAYMENT_REQUIRED' })
})

test.each([
  [
    'an answer without a word',
    whole(200, completion('', { usage: { prompt_tokens: 3, completion_tokens: 0 } })),
    0,
  ],
  [
    'a call of a tool',
    whole(
      200,
      completion(null, {
        choices: [
          {
            index: 0,
            finish_reason: 'tool_calls',
            message: {
              role: 'assistant',
              content: null,
              tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }],
            },
          },
        ],
      }),
    ),
    used,
  ],
  ['a refusal of the host', whole(400, { error: { message: 'no' } }), 0],
])('%s is charged as the table says', async (_what, script, cost) => {
  const payer = await givenPayer(service, 50)
  const { model } = await givenPriced(service, script)
  await payer.call('POST /v1/chat/completions', { body: { model, messages } })
  expect(await settled(service, payer)).toMatchObject({ balance: 50 - cost })
})

test('a call by the request has its price, and one without tokens of the host those that are counted here', async () => {
  const payer = await givenPayer(service, 50)
  const flat = await givenPriced(service, said, { pricing: { amount: 3, unit: 'request' } })
  const bare = await givenPriced(service, whole(200, completion('Hello mill', { usage: undefined })))
  const one = await payer.call('POST /v1/chat/completions', { body: { model: flat.model, messages } })
  const other = await payer.call('POST /v1/chat/completions', { body: { model: bare.model, messages } })

  expect(creditsOf(one)).toEqual(['3', '47'])
  const { input_tokens: input, output_tokens: output } = await loggedCall(
    service,
    other.headers.get('x-request-id'),
  )
  expect(creditsOf(other)).toEqual([String(input + 2 * output), String(47 - input - 2 * output)])
})

test('what was held for the calls of an api that is killed is given back, and nothing is charged for them', async () => {
  const [payer, other] = [await givenPayer(service, 100), await givenPayer(service, 100)]
  const { model, host } = await givenPriced(service, () => chunked(...hello).slice(0, 3))
  const port = await freePort()
  const killed = await service.start('api', { PORT: String(port) })
  const body = JSON.stringify({ model, messages, stream: true })
  const ask = (url: string, { apiKey }: GivenAccount) =>
    fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'x-api-key': apiKey, 'content-type': 'application/json' },
      body,
    })
  await Promise.all([...Array(3)].map(() => ask(`http://127.0.0.1:${port}`, payer)))
  const lasting = await ask(service.url, other)
  expect(host.asked).toHaveLength(4)

  await killed.kill()
  expect(await moneyOf(service.db, payer.accountId)).toMatchObject({ held: 3 * held * 1_000_000 })
  await service.db.pool.query(
    `update call_holds set alive_at = alive_at - interval '61 seconds' where account_id = $1`,
    [payer.accountId],
  )
  await releaseLostCalls(service.db, { since: Number.NEGATIVE_INFINITY })

  expect(await settled(service, payer)).toEqual({ balance: 100, charges: 0 })
  expect(await moneyOf(service.db, other.accountId)).toMatchObject({ held: held * 1_000_000 })
  await lasting.body?.cancel()
  // Its prompt, and the one word.
  expect(await settled(service, other)).toMatchObject({ charges: 1 })
})

test('the lines of a batch are charged as calls, each under the id of its request', async () => {
  const payer = await givenPayer(service, 60)
  const talker = await givenPriced(service)
  const embedder = await givenPriced(service, vector, { apis: ['embeddings'] })
  const dear = await givenPriced(service, said, { pricing: { amount: 100, unit: 'request' } })
  const client = new OpenAI({ apiKey: payer.apiKey, baseURL: `${service.url}/v1` })
  const line = (custom_id: string, kind: string, body: object) =>
    JSON.stringify({ custom_id, method: 'POST', url: `/v1/${kind}`, body })
  const lines = [
    line('chat', 'chat/completions', { model: talker.model, messages }),
    line('vector', 'embeddings', { model: embedder.model, input: 'a mill' }),
    line('dear', 'chat/completions', { model: dear.model, messages }),
  ]
  const file = await toFile(Buffer.from(lines.join('\n')), 'in.jsonl')
  const { id: input } = await client.files.create({ file, purpose: 'batch' })
  const body = { input_file_id: input, completion_window: '24h' }
  const { id } = await client.post<OpenAI.Batch>('/batches', { body })
  const batch = await until(
    async () => {
      const found = await client.batches.retrieve(id)
      return found.status === 'completed' && found
    },
    { within: 30_000, what: 'the end of the batch' },
  )
  const linesOf = async (name: string | null | undefined) =>
    (await (await client.files.content(name ?? '')).text())
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text))

  const good = await linesOf(batch.output_file_id)
  const [bad] = await linesOf(batch.error_file_id)

  expect(bad.response).toMatchObject({
    status_code: 402,
    body: { error: { error_id: 'INSUFFICIENT_CREDITS' } },
  })
  expect(await settled(service, payer)).toEqual({ balance: 60 - used - 5, charges: 2 })
  const { body: ledger } = await payer.call('GET /v1/ledger?kind=charge')
  const booked = new Map(
    ledger.data.map(({ request_id, amount }: Record<string, unknown>) => [request_id, amount]),
  )
  expect(good.map(({ response }) => booked.get(response.request_id))).toEqual([-used, -5])
})

test('a call is in the ledger under the id that its reply names', async () => {
  const payer = await givenPayer(service, 50)
  const { model } = await givenPriced(service)
  const { headers } = await payer.call('POST /v1/chat/completions', { body: { model, messages } })
  await settled(service, payer)
  const { body } = await payer.call('GET /v1/ledger?kind=charge')
  expect(body.data).toMatchObject([{ request_id: headers.get('x-request-id'), amount: -used, model }])
})

test('a row of the activity finds its entry in the ledger, whoever named the request, and its charge can be given back', async () => {
  const payer = await givenPayer(service, 50)
  const admin = callerOf(service.url, service.adminKey)
  const { model } = await givenPriced(service)
  const headers = { 'x-request-id': 'mine' }
  await payer.call('POST /v1/chat/completions', { body: { model, messages }, headers })
  const [{ id: call_id, credits }] = await until(
    async () => {
      const { body } = await payer.call('GET /v1/activity?request_id=mine&status=succeeded')
      return body.data.length > 0 && body.data
    },
    { what: 'the row of the call' },
  )
  await settled(service, payer)
  const { body: ledger } = await payer.call('GET /v1/ledger?kind=charge')

  expect(ledger.data).toMatchObject([{ call_id, amount: -credits }])
  const account = toTypeId('acct', payer.accountId)
  const { body: back } = await admin(`POST /v1/admin/accounts/${account}/refunds`, {
    body: { call_id, reason: 'It was bad' },
  })
  expect(back.entry).toMatchObject({ kind: 'refund', amount: credits, call_id })
})

test('who says the id of a request himself pays for each call all the same', async () => {
  const payer = await givenPayer(service, 60)
  const { model } = await givenPriced(service)
  const first = await payer.call('POST /v1/chat/completions', { body: { model, messages } })
  const headers = { 'x-request-id': first.headers.get('x-request-id') ?? '' }
  await payer.call('POST /v1/chat/completions', { body: { model, messages }, headers })
  expect(await settled(service, payer)).toEqual({ balance: 60 - 2 * used, charges: 2 })
})
