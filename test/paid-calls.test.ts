import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { refusalOf } from './api-caller.ts'
import { type RemoteService, startRemoteService } from './given-hosts.ts'
import { creditsOf, givenPayer, givenPriced, messages, said, settled, used, vector } from './given-payers.ts'
import { chunked, hello } from './hosts/chat.ts'
import { loggedCall } from './logged-call.ts'

let service: RemoteService
beforeAll(async () => {
  service = await startRemoteService({ workers: 0, dispatchers: 0 })
})
afterAll(() => service.stop())

describe('an answer tells what it cost, and what is left', () => {
  test.each([
    ['/v1/chat/completions', { messages }, ['chat'], said, used, true],
    ['/v1/responses', { input: 'a mill', store: false }, ['chat'], said, used, false],
    ['/v1/messages', { messages, max_tokens: 10 }, ['chat'], said, used, false],
    ['/v1/run', { inputs: { messages } }, ['chat'], said, used, true],
    ['/v1/embeddings', { input: 'a mill' }, ['embeddings'], vector, 5, false],
    ['/v1/run', { inputs: { input: 'a mill' } }, ['embeddings'], vector, 5, true],
  ])('%s with %j', async (path, body, apis, answer, cost, hasFields) => {
    const payer = await givenPayer(service, 50)
    const { model } = await givenPriced(service, answer, { apis })

    const first = await payer.call(`POST ${path}`, { body: { model, ...body } })
    const second = await payer.call(`POST ${path}`, { body: { model, ...body } })

    expect([first.status, second.status]).toEqual([200, 200])
    expect(creditsOf(first)).toEqual([String(cost), String(50 - cost)])
    expect(creditsOf(second)).toEqual([String(cost), String(50 - 2 * cost)])
    const fields = { _balance_warning: false, _remaining_credits: 50 - 2 * cost }
    if (hasFields) expect(second.body).toMatchObject(fields)
    else expect(second.body).not.toHaveProperty('_remaining_credits')
    expect(await settled(service, payer)).toEqual({ balance: 50 - 2 * cost, charges: 2 })
    expect(await loggedCall(service, second.headers.get('x-request-id'))).toMatchObject({
      credits: cost * 1_000_000,
    })
  })

  test("to OpenAI's client, in a stream beside its tokens", async () => {
    const payer = await givenPayer(service, 44)
    const { model } = await givenPriced(service, ({ body }) => (body.stream ? chunked(...hello) : said))
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
    expect(await settled(service, payer)).toEqual({ balance: 30, charges: 2 })
  })

  test('with a warning once there is less than the operator warns at', async () => {
    const payer = await givenPayer(service, 23)
    const { model } = await givenPriced(service, said, { max_output_tokens: 3 })
    const left = async () =>
      (await payer.call('POST /v1/chat/completions', { body: { model, messages } })).body

    expect(await left()).toMatchObject({ _balance_warning: false, _remaining_credits: 16 })
    expect(await left()).toMatchObject({ _balance_warning: true, _remaining_credits: 9 })
  })

  test('of a model without a price, too, for which nobody has to have money', async () => {
    const payer = await givenPayer(service, 0)
    const { model } = await givenPriced(service, said, { pricing: undefined })

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
    const poor = await givenPayer(service, 2)
    const indebted = await givenPayer(service, -1)
    const { model, host } = await givenPriced(service)

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
    expect(await settled(service, poor)).toEqual({ balance: 2, charges: 0 })
  })

  test("is no reason to try again for OpenAI's client", async () => {
    const payer = await givenPayer(service, 1)
    const { model } = await givenPriced(service)
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
    const payer = await givenPayer(service, 20)
    const { model } = await givenPriced(service)
    const body = { model, messages, max_tokens: 2 }
    expect((await payer.call('POST /v1/chat/completions', { body: { ...body, n: 4 } })).status).toBe(402)
    expect((await payer.call('POST /v1/chat/completions', { body })).status).toBe(200)
  })
})
