import type { EndpointDefinition } from '@millrace/contract/endpoint'
import { endpoints } from '@millrace/contract/endpoints'
import { scopes } from '@millrace/contract/scopes'
import OpenAI, { RateLimitError } from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, type ApiReply, callerOf } from './api-caller.ts'
import { givenKeyWith } from './given-accounts.ts'
import { givenAccountOn, givenLimitedKey } from './given-plans.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'
import { parseItems } from './structured-fields.ts'

describe.each(['redis', 'postgres'] as const)('with the queue in %s', (queue) => {
  let service: Service
  beforeAll(async () => {
    service = await startService({ queue, apis: 2, workers: 0, dispatchers: 0 })
  })
  afterAll(() => service.stop())

  const create = (call: ApiCaller, headers: Record<string, string> = {}) =>
    call('POST /v1/predictions', { body: { model: 'echo', input: {} }, headers })
  const chat = (call: ApiCaller, more: object = {}) =>
    call('POST /v1/chat/completions', {
      body: { model: 'parrot', messages: [{ role: 'user', content: 'hello' }], ...more },
    })

  test('an account makes as many requests in a window as its plan says, then none until the told time is over', async () => {
    const { apiKey } = await givenAccountOn(service, { limits: { requests: 3, window: 4 } })
    const call = callerOf(service.url, apiKey)
    const replies = [await create(call), await create(call), await create(call), await create(call)]

    expect(replies.map(({ status }) => status)).toEqual([201, 201, 201, 429])
    const [first, , , refused] = replies
    expect(parseItems(first?.headers.get('ratelimit-policy') ?? null)).toEqual([['account', { q: 3, w: 4 }]])
    expect(parseItems(first?.headers.get('ratelimit') ?? null)).toEqual([
      ['account', { r: 2, t: expect.toSatisfy((t) => t >= 1 && t <= 5) }],
    ])
    expect(skytellsOf(replies[1])).toEqual({
      'limit-requests': '3',
      'remaining-requests': '1',
      window: '4',
      'limit-tokens-in': '-',
      'remaining-tokens-in': '-',
      'limit-tokens-out': '-',
      'remaining-tokens-out': '-',
    })
    expect(refused?.body).toMatchObject({
      status: false,
      response: expect.stringContaining('This account may make 3 requests in 4 s. It has made 3.'),
      error: { http_status: 429, error_id: 'RATE_LIMIT_EXCEEDED', retryable: true },
    })
    const seconds = Number(refused?.headers.get('retry-after'))
    expect(seconds).toSatisfy((s) => Number.isInteger(s) && s >= 1 && s <= 5)
    await passes(seconds)
    expect((await create(call)).status).toBe(201)
  })

  test('two processes and many requests at once share one count, across routes', async () => {
    const { apiKey } = await givenAccountOn(service, { limits: { requests: 25, window: 3600 } })
    const calls = service.urls.map((url) => callerOf(url, apiKey))
    const replies = await Promise.all(
      Array.from({ length: 60 }, (_, n) => {
        const call = calls[n % calls.length] as ApiCaller
        return n % 3 === 0 ? call('GET /v1/models') : n % 3 === 1 ? create(call) : chat(call)
      }),
    )

    const good = replies.filter(({ status }) => status < 300)
    expect(good.length).toBe(25)
    expect(replies.filter(({ status }) => status === 429).length).toBe(35)
    const left = good.map(({ headers }) => Number(parseItems(headers.get('ratelimit'))[0]?.[1].r))
    expect(Math.min(...left)).toBe(0)
    expect(Math.max(...left)).toBeLessThanOrEqual(24)
  })

  test('a key has limits of its own on top of those of its account', async () => {
    const { accountId, apiKey } = await givenAccountOn(service, { limits: { requests: 5, window: 3600 } })
    const limited = callerOf(
      service.url,
      await givenLimitedKey(service, accountId, { requests: 2, window: 600 }),
    )
    const other = callerOf(service.url, apiKey)

    const [first, , third] = [await create(limited), await create(limited), await create(limited)]
    expect(parseItems(first.headers.get('ratelimit-policy'))).toEqual([
      ['account', { q: 5, w: 3600 }],
      ['key', { q: 2, w: 600 }],
    ])
    expect(first.headers.get('x-skytells-ratelimit-limit-requests')).toBe('2')
    expect(third).toMatchObject({
      status: 429,
      body: { response: expect.stringContaining('This key may make 2') },
    })
    // What the key was refused counts nowhere.
    const rest = [await create(other), await create(other), await create(other), await create(other)]
    expect(rest.map(({ status }) => status)).toEqual([201, 201, 201, 429])
  })

  test('families of routes and models have limits of their own', async () => {
    const { apiKey } = await givenAccountOn(service, {
      limits: {
        families: { inference: { requests: 1, window: 600 }, management: { requests: 1 } },
        models: { 'ec*': { requests: 2 }, doodle: { requests: 1 } },
      },
    })
    const call = callerOf(service.url, apiKey)

    expect((await chat(call)).status).toBe(200)
    expect(await chat(call)).toMatchObject({
      status: 429,
      body: {
        error: {
          type: 'rate_limit_error',
          code: 'rate_limited',
          error_id: 'RATE_LIMITED',
          status: 429,
          message: expect.stringContaining('for inference'),
          details: { category: 'limit' },
        },
      },
    })
    expect((await call('GET /v1/models')).status).toBe(200)
    expect((await call('GET /v1/webhooks')).status).toBe(429)
    expect((await call('GET /v1/files')).status).toBe(200)
    expect([(await create(call)).status, (await create(call)).status]).toEqual([201, 201])
    expect(await create(call)).toMatchObject({
      status: 429,
      body: { response: expect.stringContaining('for the models ec*') },
    })
    const doodle = () =>
      call('POST /v1/run', { body: { model: 'doodle', inputs: { prompt: 'a' }, async: true } })
    expect([(await doodle()).status, (await doodle()).status]).toEqual([202, 429])
  })

  test('each dialect is refused in its own words', async () => {
    const { apiKey } = await givenAccountOn(service, { limits: { requests: 0, window: 9 } })
    const call = callerOf(service.url, apiKey)
    const message = { model: 'parrot', max_tokens: 5, messages: [{ role: 'user', content: 'a' }] }

    expect(await call('POST /v1/messages', { body: message })).toMatchObject({
      status: 429,
      body: { type: 'error', error: { type: 'rate_limit_error' } },
    })
    expect(await call('POST /v1/run', { body: { model: 'parrot', inputs: { messages: [] } } })).toMatchObject(
      {
        status: 429,
        body: { status: false, error: { error_id: 'RATE_LIMIT_EXCEEDED', type: 'rate_limit_error' } },
      },
    )
    expect(
      await call('POST /v1/images/generations', { body: { model: 'doodle', prompt: 'a' } }),
    ).toMatchObject({ status: 429, body: { error: { error_id: 'RATE_LIMITED', type: 'rate_limit_error' } } })
  })

  test('a repeat with an idempotency key counts once, and following what was accepted not at all', async () => {
    const { apiKey } = await givenAccountOn(service, { limits: { requests: 2, window: 3600 } })
    const call = callerOf(service.url, apiKey)
    const headers = { 'idempotency-key': 'a' }
    const first = await create(call, headers)
    const repeats = await Promise.all(Array.from({ length: 4 }, () => create(call, headers)))
    const { id } = first.body
    const followed = [
      await call(`GET /v1/predictions/${id}`),
      await call(`GET /v1/job/${id}`),
      await call(`GET /v1/predictions/${id}/stream`),
      await call(`POST /v1/predictions/${id}/cancel`),
      await call(`DELETE /v1/predictions/${id}`),
    ]

    expect(repeats.map(({ status, body }) => [status, body.id])).toEqual(repeats.map(() => [201, id]))
    expect(followed.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    const last = await create(call)
    expect(last.status).toBe(201)
    expect(parseItems(last.headers.get('ratelimit'))[0]?.[1].r).toBe(0)
    expect((await create(call)).status).toBe(429)
  })

  test('of the same request sent many times at once only one counts', async () => {
    const { apiKey } = await givenAccountOn(service, { limits: { requests: 10, window: 3600 } })
    const calls = service.urls.map((url) => callerOf(url, apiKey))
    await Promise.all(
      Array.from({ length: 10 }, (_, n) => create(calls[n % 2] as ApiCaller, { 'idempotency-key': 'same' })),
    )
    const [one] = calls as [ApiCaller]
    const reply = await create(one)
    expect(parseItems(reply.headers.get('ratelimit'))[0]?.[1].r).toBe(8)
  })

  test('an account without limits is told of none, and nothing is counted for it', async () => {
    const call = callerOf(service.url, service.apiKey)
    for (const reply of [await create(call), await chat(call), await call('GET /v1/models')]) {
      const names = [...reply.headers.keys()].filter((name) => name.includes('ratelimit'))
      expect(names).toEqual([])
    }
    const { rows } = await service.db.pool.query('select from rate_windows where name like $1', [
      `${service.accountId}%`,
    ])
    expect(rows).toEqual([])
  })

  test("OpenAI's client throws its RateLimitError, and gets its answer when it tries again by itself", async () => {
    const { apiKey } = await givenAccountOn(service, { limits: { requests: 1, window: 5 } })
    const ask = (client: OpenAI) =>
      client.chat.completions.create({ model: 'parrot', messages: [{ role: 'user', content: 'hello' }] })
    const client = new OpenAI({ apiKey, baseURL: `${service.url}/v1`, maxRetries: 0 })
    const { response } = await ask(client).withResponse()
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('1')
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('0')
    expect(response.headers.get('x-ratelimit-reset-requests')).toMatch(/^\d+s$/)

    const refused = await ask(client).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(RateLimitError)
    expect(refused).toMatchObject({ status: 429, code: 'rate_limited', type: 'rate_limit_error' })
    const patient = client.withOptions({ maxRetries: 2 })
    expect((await ask(patient)).choices[0]?.message.content).toBe('hello')
  })

  test('every endpoint that needs a key counts in the rates of its caller, but for those that follow what was accepted', async () => {
    const { accountId } = await givenAccountOn(service, { limits: { requests: 0 } })
    const call = callerOf(service.url, await givenKeyWith(service, { accountId, scopes: [...scopes] }))
    for (const [name, endpoint] of Object.entries<EndpointDefinition>(endpoints)) {
      if (endpoint.open) continue
      const { method, path, example, counted } = endpoint
      const body = bodies[name] ?? example ?? (method === 'post' || method === 'patch' ? {} : undefined)
      const reply = await call(`${method.toUpperCase()} ${path.replaceAll(/\{\w+\}/g, 'x')}`, {
        ...(body === undefined ? {} : { body }),
      })
      expect([name, reply.status === 429]).toEqual([name, counted !== 'never'])
      if (reply.status === 429) expect(reply.headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
    }
  })
})

/** What gets past the check of its shape, where the contract has no example of it. */
const bodies: Record<string, object> = {
  createTranscription: { model: 'ocr', file: 'data:audio/wav;base64,UklGRg==' },
}

function skytellsOf(reply: ApiReply | undefined): Record<string, string> {
  const prefix = 'x-skytells-ratelimit-'
  return Object.fromEntries(
    [...(reply?.headers ?? [])]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length), value]),
  )
}

/** Lets the seconds pass that a client was told to wait. */
async function passes(seconds: number): Promise<void> {
  const over = performance.now() + seconds * 1000
  await until(() => performance.now() >= over, { within: seconds * 2000, what: 'the time to pass' })
}
