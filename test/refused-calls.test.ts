import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiCaller, callerOf } from './api-caller.ts'
import { givenKeyWith } from './given-accounts.ts'
import { type RemoteService, startRemoteService } from './given-hosts.ts'
import { givenPayer, givenPriced } from './given-payers.ts'
import { givenAccountOn } from './given-plans.ts'
import { loggedCall } from './logged-call.ts'

let service: RemoteService
beforeAll(async () => {
  service = await startRemoteService({ workers: 0, dispatchers: 0 })
})
afterAll(() => service.stop())

const messages = [{ role: 'user', content: 'hello' }]
const surfaces: [string, string, string, object][] = [
  ['a chat', 'chat', '/v1/chat/completions', { messages }],
  ['a response', 'responses', '/v1/responses', { input: 'hello' }],
  ['a background response', 'responses', '/v1/responses', { input: 'hello', background: true }],
  ['a message', 'messages', '/v1/messages', { max_tokens: 10, messages }],
  ['an embedding', 'embeddings', '/v1/embeddings', { input: 'hello' }],
]

/** Why a caller is refused, and how. */
const refusals: Record<string, () => Promise<Refusal>> = {
  'without money': async () => {
    const { model } = await givenPriced(service, undefined, { apis: ['chat', 'embeddings'] })
    const { call } = await givenPayer(service, 1)
    return { call, model, httpStatus: 402, errorId: 'INSUFFICIENT_CREDITS' }
  },
  'for a model that its key may not use': async () => {
    const key = await givenKeyWith(service, { models: { deny: ['parrot', 'hash-embed'] } })
    return { call: callerOf(service.url, key), httpStatus: 403, errorId: 'MODEL_FORBIDDEN' }
  },
  'for a model that is not there': async () => {
    return { call: service.call, model: 'gpt-9', httpStatus: 404, errorId: 'MODEL_NOT_FOUND' }
  },
  'above the requests of its account': async () => {
    const { apiKey } = await givenAccountOn(service, { limits: { requests: 0, window: 60 } })
    return { call: callerOf(service.url, apiKey), httpStatus: 429, errorId: 'RATE_LIMITED' }
  },
  'above the tokens of its account': async () => {
    const { apiKey } = await givenAccountOn(service, { limits: { tokens_in: 0, window: 60 } })
    return { call: callerOf(service.url, apiKey), httpStatus: 429, errorId: 'RATE_LIMITED' }
  },
}

const each = Object.keys(refusals).flatMap((who) =>
  surfaces.map(([what, surface, path, body]) => ({ what, who, surface, path, body })),
)
test.each(each)('$what that is refused $who leaves a row', async ({ who, surface, path, body }) => {
  const refusal = await refusals[who]?.()
  if (!refusal) throw new Error(`Nobody is refused ${who}.`)
  const { call, httpStatus, errorId } = refusal
  const model = refusal.model ?? (surface === 'embeddings' ? 'hash-embed' : 'parrot')

  const reply = await call(`POST ${path}`, { body: { model, ...body } })

  expect(reply.status).toBe(httpStatus)
  expect(await loggedCall(service, reply.headers.get('x-request-id'))).toMatchObject({
    surface,
    model,
    served_model: null,
    host: null,
    status: 'failed',
    http_status: httpStatus,
    error_id: errorId,
    failure: expect.any(String),
    key_id: expect.any(String),
    key_name: expect.any(String),
    input_tokens: null,
    output_tokens: null,
    stream: false,
  })
})

interface Refusal {
  call: ApiCaller
  /** That which its surface needs, unless it is another. */
  model?: string
  httpStatus: number
  errorId: string
}
