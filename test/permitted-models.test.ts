import type { ModelRules } from '@millrace/contract/plan'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf } from './api-caller.ts'
import { givenKeyWith } from './given-accounts.ts'
import { givenMediaModels } from './given-media.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

let service: Service
let media: Awaited<ReturnType<typeof givenMediaModels>>
let operator: ApiCaller
beforeAll(async () => {
  media = await givenMediaModels()
  service = await startService({
    queue: 'redis',
    workers: 0,
    dispatchers: 0,
    env: { AWAIT_SECONDS: '0', MODELS_DIR: media.dir },
  })
  operator = callerOf(service.url, service.adminKey)
})
afterAll(async () => {
  await service.stop()
  await media.close()
})

const allow = ['echo', 'parrot', 'any-*']
const messages = [{ role: 'user', content: 'x' }]

describe.each(['key', 'plan'] as const)('with the rules of a %s', (whose) => {
  let call: ApiCaller
  beforeAll(async () => {
    call = await givenCaller(whose, { allow, deny: ['any-film'] })
  })

  test('every list of models names those that may be used alone', async () => {
    const bare = (await call('GET /v1/models')).body as { namespace: string }[]
    const names = bare.map(({ namespace }) => namespace).sort()
    expect(names).toEqual(['any-picture', 'any-voice', 'echo', 'parrot'])
    const anthropic = await call('GET /v1/models', { headers: { 'anthropic-version': '2023-06-01' } })
    expect(anthropic.body.data.map(({ id }: { id: string }) => id).sort()).toEqual(names)
  })

  test.each<[string, object?]>([
    ['GET /v1/models/doodle'],
    ['GET /v1/models/doodle/health'],
    ['POST /v1/predictions', { model: 'doodle', input: { prompt: 'x' } }],
    ['POST /v1/predict', { model: 'doodle', input: { prompt: 'x' } }],
    ['POST /v1/run', { model: 'doodle', inputs: { prompt: 'x' } }],
    ['POST /v1/run', { model: 'hash-embed', inputs: { input: 'x' } }],
    ['POST /v1/embeddings', { model: 'hash-embed', input: 'x' }],
    ['POST /v1/images/generations', { model: 'doodle', prompt: 'x' }],
    ['POST /v1/audio/speech', { model: 'speak', input: 'x', voice: 'en' }],
    ['POST /v1/videos', { model: 'any-film', prompt: 'x' }],
  ])('%s of another model is refused', async (request, body) => {
    const reply = await call(request, body ? { body } : {})
    expect([reply.status, reply.body.error.error_id]).toEqual([403, 'MODEL_FORBIDDEN'])
  })

  test('one that may be used is served', async () => {
    expect((await call('GET /v1/models/echo')).status).toBe(200)
    expect((await call('POST /v1/predictions', { body: { model: 'echo', input: {} } })).status).toBe(201)
    const chat = await call('POST /v1/chat/completions', { body: { model: 'parrot', messages } })
    expect(chat.body.choices[0].message.content).toBe('x')
  })
})

describe('a key that may not chat', () => {
  let call: ApiCaller
  beforeAll(async () => {
    call = await givenCaller('key', { deny: ['parrot'] })
  })

  test.each([
    ['POST /v1/chat/completions', { model: 'parrot', messages }],
    ['POST /v1/responses', { model: 'parrot', input: 'x' }],
    ['POST /v1/responses', { model: 'parrot', input: 'x', background: true }],
  ])('is told so by %s in the words of OpenAI', async (request, body) => {
    const reply = await call(request, { body })
    expect(reply).toMatchObject({
      status: 403,
      body: {
        error: { type: 'permission_error', code: 'forbidden', param: 'model', error_id: 'MODEL_FORBIDDEN' },
      },
    })
  })

  test.each(['POST /v1/messages', 'POST /v1/messages/count_tokens'])(
    'is told so by %s in the words of Anthropic',
    async (request) => {
      const reply = await call(request, { body: { model: 'parrot', max_tokens: 9, messages } })
      expect(reply).toMatchObject({
        status: 403,
        body: { type: 'error', error: { type: 'permission_error' } },
      })
    },
  )

  test('is told first of what is not there, and of what serves it', async () => {
    const { body: none } = await call('POST /v1/chat/completions', { body: { model: 'none', messages } })
    expect(none.error.error_id).toBe('MODEL_NOT_FOUND')
    const { body: elsewhere } = await call('POST /v1/predictions', { body: { model: 'parrot', input: {} } })
    expect(elsewhere.error.error_id).toBe('MODEL_NOT_SUPPORTED')
  })

  test('is told so before its input is looked at', async () => {
    const call = await givenCaller('key', { deny: ['doodle'] })
    const { body } = await call('POST /v1/predictions', { body: { model: 'doodle', input: {} } })
    expect(body.error.error_id).toBe('MODEL_FORBIDDEN')
  })

  test('has the lines of its batches refused one by one', async () => {
    const line = (custom_id: string, url: string, body: object) => ({ custom_id, method: 'POST', url, body })
    const requests = [
      line('chat', '/v1/chat/completions', { model: 'parrot', messages }),
      line('vector', '/v1/embeddings', { model: 'hash-embed', input: 'x' }),
    ]
    const call = await givenCaller('key', { deny: ['parrot', 'echo'] })
    const { body: made } = await call('POST /v1/batches', {
      body: { requests: [...requests, line('echo', '/v1/predictions', { model: 'echo', input: {} })] },
    })
    const ended = await until(
      async () => {
        const { body } = await call(`GET /v1/batches/${made.id}`)
        return body.status === 'completed' ? body : undefined
      },
      { within: 30_000, what: 'the batch to be done' },
    )
    expect(ended.request_counts).toEqual({ total: 3, completed: 1, failed: 2 })
    const { text } = await call(`GET /v1/files/${ended.error_file_id}/content`)
    const lines = text
      .trim()
      .split('\n')
      .map((one) => JSON.parse(one))
    expect(
      lines
        .map(({ custom_id, response }) => [custom_id, response.status_code, response.body.error.error_id])
        .sort(),
    ).toEqual([
      ['chat', 403, 'MODEL_FORBIDDEN'],
      ['echo', 403, 'MODEL_FORBIDDEN'],
    ])
  })
})

test('a plan that changes holds for the next request', async () => {
  const call = await givenCaller('plan', { allow: ['echo'] })
  const create = () => call('POST /v1/predictions', { body: { model: 'echo', input: {} } })
  expect((await create()).status).toBe(201)
  await operator('PUT /v1/admin/plans/narrow', { body: { models: { deny: ['*'] } } })
  expect((await create()).status).toBe(403)
})

/** Somebody whose key, or whose plan, has these rules. */
async function givenCaller(whose: 'key' | 'plan', models: ModelRules): Promise<ApiCaller> {
  if (whose === 'key') return callerOf(service.url, await givenKeyWith(service, { models }))
  await operator('PUT /v1/admin/plans', { body: { name: 'narrow', settings: { models } } })
  const { body: account } = await operator('POST /v1/admin/accounts', {
    body: { name: `narrow ${Math.random()}`, plan: 'narrow' },
  })
  const { body } = await operator(`POST /v1/admin/accounts/${account.id}/keys`, { body: { name: 'a key' } })
  return callerOf(service.url, body.key)
}
