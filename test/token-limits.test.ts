import { estimatePrompt } from '@millrace/inference/count-tokens'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf } from './api-caller.ts'
import { givenAccountOn, givenLimitedKey } from './given-plans.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'
import { parseItems } from './structured-fields.ts'

describe.each(['redis', 'postgres'] as const)('with the queue in %s', (queue) => {
  let service: Service
  beforeAll(async () => {
    service = await startService({ queue, workers: 0, dispatchers: 0 })
  })
  afterAll(() => service.stop())

  test('the tokens of prompts and answers count as they were in truth, and a call that would go beyond is refused', async () => {
    const { apiKey } = await givenAccountOn(service, {
      limits: { tokens_in: 40, tokens_out: 30, requests: 100, window: 3600 },
    })
    const call = callerOf(service.url, apiKey)
    const first = await chat(call, 'a mill by a river', { max_tokens: 20 })
    const { prompt_tokens: input, completion_tokens: output } = first.body.usage

    // As estimated when it was asked for: its headers went before its answer was made.
    expect(parseItems(first.headers.get('ratelimit-policy'))).toEqual([
      ['account', { q: 100, w: 3600 }],
      ['account-tokens-in', { q: 40, w: 3600, qu: 'tokens' }],
      ['account-tokens-out', { q: 30, w: 3600, qu: 'tokens' }],
    ])
    expect(first.headers.get('x-skytells-ratelimit-limit-tokens-out')).toBe('30')
    expect(first.headers.get('x-skytells-ratelimit-remaining-tokens-out')).toBe('10')
    expect(first.headers.get('x-ratelimit-limit-tokens')).toBe('40')
    expect(output).toBeLessThan(20)
    await until(async () => (await used(call, 'account-tokens-in', 40)) === input, {
      what: 'its prompt to count',
    })
    await until(async () => (await used(call, 'account-tokens-out', 30)) === output, {
      what: 'its answer to count',
    })

    const before = await requestsLeft(call)
    const long = await chat(call, 'word '.repeat(30))
    expect(long).toMatchObject({
      status: 429,
      body: {
        error: {
          error_id: 'RATE_LIMITED',
          message: expect.stringContaining('40 tokens of prompts in 3600 s'),
        },
      },
    })
    expect(Number(long.headers.get('retry-after'))).toBeGreaterThan(3000)
    // It was no request either.
    expect(await requestsLeft(call)).toBe(before - 1)
  })

  test('a prompt that is longer than all that may be sent in a window is refused for good', async () => {
    const { apiKey } = await givenAccountOn(service, { limits: { tokens_in: 10 } })
    const reply = await chat(callerOf(service.url, apiKey), 'word '.repeat(50))
    expect(reply).toMatchObject({ status: 413, body: { error: { error_id: 'PAYLOAD_TOO_LARGE' } } })
  })

  test('calls at once that say how long their answers may be do not go beyond the limit together', async () => {
    const { accountId } = await givenAccountOn(service, {})
    const call = callerOf(
      service.url,
      await givenLimitedKey(service, accountId, { tokens_out: 100, window: 3600 }),
    )
    const replies = await Promise.all(
      Array.from({ length: 9 }, () => chat(call, '/slow 300 some words', { max_tokens: 30, stream: true })),
    )
    expect(replies.filter(({ status }) => status === 200).length).toBe(3)
    expect(replies.filter(({ status }) => status === 429).length).toBe(6)
    expect(replies.find(({ status }) => status === 429)?.text).toContain(
      'This key may get 100 tokens of answers',
    )
  })

  test('what a worker is to answer keeps what was estimated, and its repeat takes nothing', async () => {
    const { apiKey } = await givenAccountOn(service, {
      limits: { tokens_in: 1000, requests: 100, window: 3600 },
    })
    const call = callerOf(service.url, apiKey)
    const later = { model: 'parrot', input: 'six words are in this one', background: true }
    const job = { model: 'parrot', inputs: { messages: [{ role: 'user', content: 'a mill' }] }, async: true }
    const ask = async (path: string, body: object, key: string) => {
      const { status } = await call(`POST ${path}`, { body, headers: { 'idempotency-key': key } })
      expect(status).toBeLessThan(300)
      return used(call, 'account-tokens-in', 1000)
    }
    const first = await ask('/v1/responses', later, 'response')
    expect(first).toBeGreaterThanOrEqual(6)
    await until(async () => (await ask('/v1/responses', later, 'response')) === first, {
      what: 'the same count',
    })
    const second = await ask('/v1/run', job, 'job')
    expect(second).toBeGreaterThan(first)
    await until(async () => (await ask('/v1/run', job, 'job')) === second, { what: 'the same count' })
  })

  test('every surface counts its tokens, and what fails gives them back', async () => {
    const { apiKey } = await givenAccountOn(service, {
      limits: { models: { '*': { tokens_in: 1000, window: 3600 } } },
    })
    const call = callerOf(service.url, apiKey)
    const policy = 'account-model:*-tokens-in'
    const message = {
      model: 'parrot',
      max_tokens: 50,
      messages: [{ role: 'user', content: 'six words are in this one' }],
    }
    let sum = 0
    for (const [path, body] of [
      ['/v1/messages', message],
      ['/v1/responses', { model: 'parrot', input: 'six words are in this one' }],
      ['/v1/run', { model: 'parrot', inputs: { messages: message.messages } }],
      ['/v1/embeddings', { model: 'hash-embed', input: 'six words are in this one' }],
    ] as const) {
      const { status, body: answer } = await call(`POST ${path}`, { body })
      expect(status).toBe(200)
      sum += answer.usage.prompt_tokens ?? answer.usage.input_tokens
      await until(async () => (await used(call, policy, 1000)) === sum, {
        what: `the tokens of ${path} to count`,
      })
    }
  })
})

/** What a rate has counted, from the headers of a call that fails: what that one was expected to take is given back. */
async function used(call: ApiCaller, policy: string, limit: number): Promise<number> {
  const content = '/fail 0'
  const reply = await chat(call, content)
  const [, state] = parseItems(reply.headers.get('ratelimit')).find(([name]) => name === policy) ?? []
  const own = policy.endsWith('out')
    ? 1
    : await estimatePrompt({ model: 'parrot', messages: [{ role: 'user', content }] })
  return limit - Number(state?.r) - own
}

async function requestsLeft(call: ApiCaller): Promise<number> {
  const { headers } = await call('GET /v1/models')
  return Number(parseItems(headers.get('ratelimit'))[0]?.[1].r)
}

function chat(call: ApiCaller, content: string, more: object = {}) {
  return call('POST /v1/chat/completions', {
    body: { model: 'parrot', messages: [{ role: 'user', content }], ...more },
  })
}
