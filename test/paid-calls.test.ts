import { newId } from '@millrace/database/ids'
import { moveCredits } from '@millrace/ledger/move-credits'
import { releaseLostCalls } from '@millrace/ledger/release-lost-calls'
import { freePort } from '@millrace/standalone/ports'
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { type GivenAccount, givenAccount } from './given-accounts.ts'
import { type RemoteService, startRemoteService } from './given-hosts.ts'
import { until } from './harness/wait.ts'
import {
  type ChatHost,
  type ChatScript,
  chunked,
  completion,
  givenChatHost,
  hello,
  whole,
} from './hosts/chat.ts'
import { loggedCall } from './logged-call.ts'
import { moneyOf } from './money-of.ts'

let service: RemoteService
beforeAll(async () => {
  service = await startRemoteService({ apis: 2, workers: 0, dispatchers: 0 })
})
afterAll(() => service.stop())

/** Three tokens of a prompt and two of an answer cost seven credits. */
const pricing = { amount: 0, unit: 'token', input_amount: 1, output_amount: 2 }
const used = 7
const said = whole(200, completion('Hello mill'))
const messages = [{ role: 'user' as const, content: 'a mill' }]
const vector = whole(200, {
  data: [{ index: 0, embedding: [1, 0] }],
  usage: { prompt_tokens: 5, total_tokens: 5 },
})

/** An account with so many credits, and its client. */
async function givenPayer(credits: number): Promise<Payer> {
  const account = await givenAccount(service)
  await give(account.accountId, credits)
  return { ...account, call: callerOf(service.url, account.apiKey) }
}

async function give(accountId: string, credits: number): Promise<void> {
  if (credits !== 0)
    await moveCredits(service.db, { accountId, amount: credits * 1_000_000, reason: 'For a test' })
}

/** A model with a price, at a host that answers like this. */
async function givenPriced(script: ChatScript = said, more: object = {}): Promise<Priced> {
  const host = await givenChatHost(script)
  const model = `priced-${newId()}`
  await service.serve({
    [model]: {
      type: 'text',
      apis: ['chat'],
      retries: 0,
      pricing,
      max_output_tokens: 10,
      ...more,
      provider: { kind: 'openai', base_url: host.url },
    },
  })
  return { host, model }
}

/** In credits, once nothing is held any more. */
async function settled({ accountId }: GivenAccount) {
  const money = await until(
    async () => {
      const found = await moneyOf(service.db, accountId)
      return found.held === 0 && found.holds === 0 && found
    },
    { what: 'the charges to be booked' },
  )
  expect(money.balance).toBe(money.entries)
  return { balance: money.balance / 1_000_000, charges: money.charges }
}

const creditsOf = ({ headers }: { headers: Headers }) =>
  ['x-credits-used', 'x-credits-remaining'].map((name) => headers.get(name))

describe('an answer tells what it cost, and what is left', () => {
  test.each([
    ['/v1/chat/completions', { messages }, ['chat'], said, used, true],
    ['/v1/responses', { input: 'a mill', store: false }, ['chat'], said, used, false],
    ['/v1/messages', { messages, max_tokens: 10 }, ['chat'], said, used, false],
    ['/v1/run', { inputs: { messages } }, ['chat'], said, used, true],
    ['/v1/embeddings', { input: 'a mill' }, ['embeddings'], vector, 5, false],
    ['/v1/run', { inputs: { input: 'a mill' } }, ['embeddings'], vector, 5, true],
  ])('%s with %j', async (path, body, apis, answer, cost, hasFields) => {
    const payer = await givenPayer(50)
    const { model } = await givenPriced(answer, { apis })

    const first = await payer.call(`POST ${path}`, { body: { model, ...body } })
    const second = await payer.call(`POST ${path}`, { body: { model, ...body } })

    expect([first.status, second.status]).toEqual([200, 200])
    expect(creditsOf(first)).toEqual([String(cost), String(50 - cost)])
    expect(creditsOf(second)).toEqual([String(cost), String(50 - 2 * cost)])
    const fields = { _balance_warning: false, _remaining_credits: 50 - 2 * cost }
    if (hasFields) expect(second.body).toMatchObject(fields)
    else expect(second.body).not.toHaveProperty('_remaining_credits')
    expect(await settled(payer)).toEqual({ balance: 50 - 2 * cost, charges: 2 })
    expect(await loggedCall(service, second.headers.get('x-request-id'))).toMatchObject({
      credits: cost * 1_000_000,
    })
  })

  test("to OpenAI's client, in a stream beside its tokens", async () => {
    const payer = await givenPayer(44)
    const { model } = await givenPriced(({ body }) => (body.stream ? chunked(...hello) : said))
    const client = new OpenAI({ apiKey: payer.apiKey, baseURL: `${service.url}/v1`, maxRetries: 0 })

    const { data, response } = await client.chat.completions.create({ model, messages }).withResponse()
    const stream = await client.chat.completions.create({
      model,
      messages,
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks: OpenAI.ChatCompletionChunk[] = []
    for await (const chunk of stream) chunks.push(chunk)

    expect(data).toMatchObject({ _balance_warning: false, _remaining_credits: 37 })
    expect(creditsOf(response)).toEqual(['7', '37'])
    expect(chunks.map((chunk) => Object.hasOwn(chunk, '_remaining_credits'))).toEqual([
      ...chunks.slice(1).map(() => false),
      true,
    ])
    expect(chunks.at(-1)).toMatchObject({ usage: {}, _balance_warning: false, _remaining_credits: 30 })
    expect(await settled(payer)).toEqual({ balance: 30, charges: 2 })
  })

  test('with a warning once there is less than the operator warns at', async () => {
    const payer = await givenPayer(23)
    const { model } = await givenPriced(said, { max_output_tokens: 3 })
    const left = async () =>
      (await payer.call('POST /v1/chat/completions', { body: { model, messages } })).body

    expect(await left()).toMatchObject({ _balance_warning: false, _remaining_credits: 16 })
    expect(await left()).toMatchObject({ _balance_warning: true, _remaining_credits: 9 })
  })

  test('of a model without a price, too, for which nobody has to have money', async () => {
    const payer = await givenPayer(0)
    const { model } = await givenPriced(said, { pricing: undefined })

    const answer = await payer.call('POST /v1/chat/completions', { body: { model, messages } })

    expect(answer).toMatchObject({ status: 200, body: { _balance_warning: true, _remaining_credits: 0 } })
    expect(creditsOf(answer)).toEqual(['0', '0'])
  })
})

describe('a call that cannot be paid for', () => {
  test.each([
    ['/v1/chat/completions', { messages }],
    ['/v1/responses', { input: 'a mill' }],
    ['/v1/messages', { messages, max_tokens: 10 }],
    ['/v1/run', { inputs: { messages } }],
  ])('of %s is refused in its own words, and no host is asked', async (path, body) => {
    const poor = await givenPayer(2)
    const indebted = await givenPayer(-1)
    const { model, host } = await givenPriced()

    const refused = await poor.call(`POST ${path}`, { body: { model, ...body } })
    const owing = await indebted.call(`POST ${path}`, { body: { model, ...body } })

    expect([refused.status, owing.status]).toEqual([402, 402])
    expect(host.asked).toHaveLength(0)
    if (path === '/v1/messages') {
      expect(refused.body).toMatchObject({ type: 'error', error: { type: 'billing_error' } })
    } else {
      expect(refusalOf(refused).id).toBe('INSUFFICIENT_CREDITS')
      expect(refusalOf(owing).id).toBe('PAYMENT_REQUIRED')
    }
    expect(await settled(poor)).toEqual({ balance: 2, charges: 0 })
  })

  test("is no reason to try again for OpenAI's client", async () => {
    const payer = await givenPayer(1)
    const { model } = await givenPriced()
    const client = new OpenAI({ apiKey: payer.apiKey, baseURL: `${service.url}/v1`, maxRetries: 2 })
    const asked = client.chat.completions.create({ model, messages })
    await expect(asked).rejects.toMatchObject({
      status: 402,
      code: 'insufficient_credits',
      type: 'insufficient_balance',
      error: { error_id: 'INSUFFICIENT_CREDITS', details: { category: 'billing' } },
    })
  })

  test('fits with a shorter answer', async () => {
    const payer = await givenPayer(20)
    const { model } = await givenPriced()
    const body = { model, messages, max_tokens: 2 }
    expect((await payer.call('POST /v1/chat/completions', { body: { ...body, n: 4 } })).status).toBe(402)
    expect((await payer.call('POST /v1/chat/completions', { body })).status).toBe(200)
  })
})

test('of two hundred calls at once in two processes as many go on as there is money for', async () => {
  const { model, host } = await givenPriced(() => undefined)
  // The prompt and the longest answer.
  const most = 8 + 2 * 10
  const payer = await givenPayer(37 * most + 5)
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
  expect(await moneyOf(service.db, payer.accountId)).toMatchObject({ held: 37 * most * 1_000_000 })
  abort.abort()
  expect(await settled(payer)).toEqual({ balance: 37 * most + 5, charges: 0 })
})

test('only who answered is paid, at the price of what was asked for', async () => {
  const payer = await givenPayer(100)
  const broken = await givenPriced(whole(500, { error: { message: 'it broke' } }), {
    pricing: { amount: 100, unit: 'token' },
  })
  const spare = await givenPriced(said, { pricing: { amount: 10, unit: 'token' } })
  const { model } = await givenPriced(whole(503, {}), { fallbacks: [broken.model, spare.model] })

  const answer = await payer.call('POST /v1/chat/completions', { body: { model, messages } })

  expect(creditsOf(answer)).toEqual(['7', '93'])
  expect(await settled(payer)).toEqual({ balance: 93, charges: 1 })
  expect(await loggedCall(service, answer.headers.get('x-request-id'))).toMatchObject({
    served_model: spare.model,
    credits: 7_000_000,
  })
})

test('what is used beyond what was held is charged, and may take the balance below zero', async () => {
  const payer = await givenPayer(40)
  const usage = { prompt_tokens: 30, completion_tokens: 10, total_tokens: 40 }
  const { model } = await givenPriced(whole(200, completion('Hello mill', { usage })))

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
  const payer = await givenPayer(50)
  const { model } = await givenPriced(script)
  await payer.call('POST /v1/chat/completions', { body: { model, messages } })
  expect(await settled(payer)).toMatchObject({ balance: 50 - cost })
})

test('a call by the request has its price, and one without tokens of the host those that are counted here', async () => {
  const payer = await givenPayer(50)
  const flat = await givenPriced(said, { pricing: { amount: 3, unit: 'request' } })
  const bare = await givenPriced(whole(200, completion('Hello mill', { usage: undefined })))
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
  const [payer, other] = [await givenPayer(100), await givenPayer(100)]
  const { model, host } = await givenPriced(() => chunked(...hello).slice(0, 3))
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
  expect(await moneyOf(service.db, payer.accountId)).toMatchObject({ held: 3 * 28_000_000 })
  await service.db.pool.query(
    `update call_holds set alive_at = alive_at - interval '61 seconds' where account_id = $1`,
    [payer.accountId],
  )
  await releaseLostCalls(service.db, { since: Number.NEGATIVE_INFINITY })

  expect(await settled(payer)).toEqual({ balance: 100, charges: 0 })
  expect(await moneyOf(service.db, other.accountId)).toMatchObject({ held: 28_000_000 })
  await lasting.body?.cancel()
  // Its prompt, and the one word.
  expect(await settled(other)).toMatchObject({ charges: 1 })
})

test('the lines of a batch are charged as calls, each under the id of its request', async () => {
  const payer = await givenPayer(60)
  const talker = await givenPriced()
  const embedder = await givenPriced(vector, { apis: ['embeddings'] })
  const dear = await givenPriced(said, { pricing: { amount: 100, unit: 'request' } })
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
  expect(await settled(payer)).toEqual({ balance: 60 - used - 5, charges: 2 })
  const { body: ledger } = await payer.call('GET /v1/ledger?kind=charge')
  const booked = new Map(
    ledger.data.map(({ request_id, amount }: Record<string, unknown>) => [request_id, amount]),
  )
  expect(good.map(({ response }) => booked.get(response.request_id))).toEqual([-used, -5])
})

test('a call is in the ledger under the id that its reply names', async () => {
  const payer = await givenPayer(50)
  const { model } = await givenPriced()
  const { headers } = await payer.call('POST /v1/chat/completions', { body: { model, messages } })
  await settled(payer)
  const { body } = await payer.call('GET /v1/ledger?kind=charge')
  expect(body.data).toMatchObject([{ request_id: headers.get('x-request-id'), amount: -used, model }])
})

test('who says the id of a request himself pays for each call all the same', async () => {
  const payer = await givenPayer(60)
  const { model } = await givenPriced()
  const first = await payer.call('POST /v1/chat/completions', { body: { model, messages } })
  const headers = { 'x-request-id': first.headers.get('x-request-id') ?? '' }
  await payer.call('POST /v1/chat/completions', { body: { model, messages }, headers })
  expect(await settled(payer)).toEqual({ balance: 60 - 2 * used, charges: 2 })
})

interface Payer extends GivenAccount {
  call: ApiCaller
}

interface Priced {
  host: ChatHost
  model: string
}
