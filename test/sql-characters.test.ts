import { dialects } from '@millrace/api/config'
import { openapiDocument } from '@millrace/contract/openapi'
import { scopes } from '@millrace/contract/scopes'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { answers } from './answers-to-texts.ts'
import { type ApiCaller, type ApiReply, callerOf, refusalOf } from './api-caller.ts'
import type { ApiDocument } from './fitting-values.ts'
import { givenKeyWith } from './given-accounts.ts'
import { givenMediaModels } from './given-media.ts'
import { type Service, startService } from './harness/service.ts'
import { type Place, type PlacedRequest, placed, placesOf, type ValidRequest } from './places.ts'
import { untilEnded } from './until-ended.ts'

const texts = [
  "'; drop table predictions; --",
  "' or '1'='1",
  "%' union select digest from api_keys where '%'='",
  "\\'; select pg_sleep(600); --",
  '"; delete from accounts; /* $1 $$ %s ? :x */',
]

const document = openapiDocument({
  publicUrl: 'http://127.0.0.1',
  version: '0',
  dialects,
}) as unknown as ApiDocument
const places = placesOf(document)
const answerAt = new Map(
  Object.entries(answers).flatMap(([answer, at]) => at.map((place) => [place, answer])),
)

const requests = [{ custom_id: 'a', url: '/v1/predictions', body: { model: 'echo', input: {} } }]
const said = { model: 'parrot', messages: [{ role: 'user', content: 'a' }] }

let service: Service
let call: ApiCaller
let valid: Record<string, ValidRequest>
let media: Awaited<ReturnType<typeof givenMediaModels>>
beforeAll(async () => {
  media = await givenMediaModels()
  const env = { MODELS_DIR: media.dir, POOLS: 'default,media' }
  service = await startService({ queue: 'redis', dispatchers: 0, env })
  call = callerOf(service.url, await givenKeyWith(service, { scopes }))
  const [prediction, file, webhook, batch, response] = await Promise.all([
    call('POST /v1/predictions', { body: { model: 'echo', input: {} } }),
    call('POST /v1/files?filename=a.txt', { raw: 'hello' }),
    call('POST /v1/webhooks', { body: { url: 'http://127.0.0.1:9/' } }),
    call('POST /v1/batches', { body: { requests } }),
    call('POST /v1/responses', { body: { model: 'parrot', input: 'a' } }),
  ])
  const [key, account] = await Promise.all([
    call('POST /v1/keys', { body: { name: 'a' } }),
    call('POST /v1/admin/accounts', { body: { name: 'somebody' } }),
  ])
  const ofKey = { params: { id: key.body.id } }
  const ofAccount = { params: { id: account.body.id } }
  const video = await call('POST /v1/videos', { body: { model: 'film', prompt: 'a' } })
  await Promise.all([prediction, video].map(({ body }) => untilEnded(call, body.id)))
  const ofPrediction = { params: { id: prediction.body.id } }
  const { pathname, searchParams } = new URL(file.body.url)
  valid = {
    createPrediction: { body: { model: 'echo', input: {}, webhook: { url: 'http://127.0.0.1:9/' } } },
    run: { body: { model: 'echo', async: true, input: {}, webhook: { url: 'http://127.0.0.1:9/' } } },
    createWebhook: { body: { url: 'http://127.0.0.1:9/' } },
    patchWebhook: { params: { id: webhook.body.id }, body: {} },
    getPrediction: ofPrediction,
    streamPrediction: { ...ofPrediction, headers: { accept: 'text/event-stream' } },
    listDeliveries: ofPrediction,
    createKey: { body: { name: 'a' } },
    getKey: ofKey,
    patchKey: { ...ofKey, body: {} },
    rotateKey: { ...ofKey, body: {} },
    createAccount: { body: { name: 'somebody else' } },
    getAccount: ofAccount,
    patchAccount: { ...ofAccount, body: {} },
    createAccountKey: { ...ofAccount, body: { name: 'a' } },
    putPlan: { body: { name: 'trial', settings: {} } },
    putNamedPlan: { params: { name: 'trial' }, body: {} },
    createBatch: { body: { requests } },
    getBatch: { params: { id: batch.body.id } },
    cancelBatch: { params: { id: batch.body.id } },
    getFileContent: { params: { id: file.body.id } },
    createChatCompletion: { body: said },
    createEmbeddings: { body: { model: 'hash-embed', input: ['a'] } },
    createResponse: { body: { model: 'parrot', input: 'a' } },
    getResponse: { params: { id: response.body.id } },
    listInputItems: { params: { id: response.body.id } },
    createMessage: { body: { ...said, max_tokens: 9 } },
    countMessageTokens: { body: said },
    createImage: { body: { model: 'picture', prompt: 'a' } },
    createSpeech: { body: { model: 'speak', input: 'a' } },
    createTranscription: { body: { model: 'transcript', file: 'data:audio/wav;base64,UklGRg==' } },
    createVideo: { body: { model: 'film', prompt: 'a' } },
    getVideoContent: { params: { id: video.body.id } },
    getModel: { params: { slug: 'echo' } },
    downloadFile: {
      params: { id: file.body.id, name: pathname.split('/').at(-1) ?? '' },
      query: Object.fromEntries(searchParams),
    },
  }
})
afterAll(async () => {
  await service.stop()
  await media.close()
})

test('every place of the document is in the table, and no other', () => {
  expect([...answerAt.keys()].sort()).toEqual([...new Set(places.map(({ place }) => place))].sort())
})

test.each(places)('$place at $request', async (place) => {
  const sent = texts.map((text) => placed(place, valid[operationOf(place)] ?? {}, text))

  const replies = await Promise.all(sent.map((one) => send(place, one)))

  const expected = answerAt.get(place.place)
  expect(replies.map(answerOf)).toEqual(texts.map(() => expected))
  if (operationOf(place) !== 'createPrediction' && operationOf(place) !== 'run') return
  for (const [n, { body }] of replies.entries()) {
    if (expected?.startsWith('4')) continue
    const { status, output } = await untilEnded(call, body.id ?? body.job_id)
    expect({ status, output }).toEqual({ status: 'succeeded', output: inputOf(sent[n]?.body) })
  }
})

test.each<[string, string]>([
  ['accept', '200 201'],
  ['accept-encoding', '200 201'],
  ['accept-language', '200 201'],
  ['anthropic-version', '200 201'],
  ['content-type', '200 201'],
  ['cookie', '200 201'],
  ['if-modified-since', '200 201'],
  ['origin', '200 201'],
  ['referer', '200 201'],
  ['user-agent', '200 201'],
  ['x-forwarded-for', '200 201'],
  ['x-forwarded-host', '200 201'],
  ['x-request-id', '200 201'],
  ['x-unknown', '200 201'],
  ['x-api-key', '401 UNAUTHORIZED 401 UNAUTHORIZED'],
  ['content-encoding', '200 400 INVALID_REQUEST'],
])('the header %s of a list and a create: %s', async (name, expected) => {
  for (const text of texts) {
    const headers = { 'content-type': 'application/json', [name]: text }
    const listed = await call('GET /v1/predictions', { headers })
    const created = await call('POST /v1/predictions', { raw: '{"model":"echo","input":{}}', headers })
    expect(`${answerOf(listed)} ${answerOf(created)}`).toBe(expected)
    if (created.status === 201) expect((await untilEnded(call, created.body.id)).status).toBe('succeeded')
  }
})

test.each(['', 'Bearer ', 'Basic '])('the header authorization: %s…', async (scheme) => {
  const anyone = callerOf(service.url)
  for (const text of texts) {
    const reply = await anyone('GET /v1/predictions', { headers: { authorization: scheme + text } })
    expect(answerOf(reply)).toBe('401 UNAUTHORIZED')
  }
})

test('a list by tag finds the predictions that have it, and no others', async () => {
  const of = (text: string) => ({ model: 'echo', input: {}, tags: { listed: text } })
  const ids = await Promise.all(
    texts.map(async (text) => (await call('POST /v1/predictions', { body: of(text) })).body.id),
  )
  for (const [n, text] of texts.entries()) {
    const found = await call(`GET /v1/predictions?tag.listed=${encodeURIComponent(text)}`)
    const unknown = await call(`GET /v1/predictions?tag.${encodeURIComponent(text)}=x`)
    expect(found.body.data.map(({ id }: { id: string }) => id)).toEqual([ids[n]])
    expect(unknown).toMatchObject({ status: 200, body: { data: [] } })
  }
})

test('a background response gives back what it was asked, and its webhook must be an address', async () => {
  for (const text of texts) {
    const asked = { model: 'parrot', background: true, input: text, instructions: text }
    const begun = await call('POST /v1/responses', {
      body: { ...asked, metadata: { [text]: text }, tags: { by: text } },
    })
    const refused = await call('POST /v1/responses', { body: { ...asked, webhook: text } })
    const { status, metadata } = await untilEnded(call, begun.body.id.replace('resp_', 'pred_'))
    const { body } = await call(`GET /v1/responses/${begun.body.id}`)

    expect({ status, by: metadata.tags.by }).toEqual({ status: 'succeeded', by: text })
    expect(body).toMatchObject({ output_text: text, instructions: text, metadata: { [text]: text } })
    expect(answerOf(refused)).toBe('400 INVALID_WEBHOOK_URL')
  }
})

/** What was written as SQL would show: as an answer other than that of the table, a fault, or a reply that never comes. */
function send(place: Place, { request, headers, body }: PlacedRequest): Promise<ApiReply> {
  if (operationOf(place) === 'uploadFile') return call(request, { raw: form(body) })
  // Both spellings of a create share their keys.
  const key = headers['Idempotency-Key']
  const own = key === undefined ? headers : { 'idempotency-key': `${key} at ${request}` }
  return call(request, { headers: own, ...(body === undefined ? {} : { body }) })
}

const operationOf = ({ place }: Place): string => place.split(' ')[0] ?? ''

/** The status and the error's id; of the surfaces that have no ids, its type. */
function answerOf(reply: ApiReply): string {
  const id = refusalOf(reply).id ?? reply.body?.error?.type ?? ''
  return `${reply.status} ${id}`.trim()
}

function inputOf(body: unknown): unknown {
  const { input, inputs } = body as { input?: unknown; inputs?: unknown }
  return inputs ?? input
}

/** The file's place in the form is its name. */
function form(fields: unknown): FormData {
  const { file = 'a.txt', purpose = 'input' } = (fields ?? {}) as Record<string, string>
  const data = new FormData()
  data.set('purpose', purpose)
  data.set('file', new File(['hello'], file))
  return data
}
