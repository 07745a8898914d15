import { revokeKey } from '@millrace/accounts/manage-keys'
import { scopes } from '@millrace/contract/scopes'
import { newId, toTypeId } from '@millrace/database/ids'
import { newApiKey } from '@millrace/keys/api-key'
import { moveCredits } from '@millrace/ledger/move-credits'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callerOf } from './api-caller.ts'
import { type DocumentedOperation, documentedOperations, type OwnedKind } from './documented-requests.ts'
import { givenAccount, givenKey, givenKeyWith } from './given-accounts.ts'
import { givenMediaModels } from './given-media.ts'
import { type Service, startService } from './harness/service.ts'
import { untilEnded } from './until-ended.ts'

const operations = documentedOperations()
// What only the operator may ask is of no account.
const keyed = operations.filter(({ open, scope }) => !open && scope !== 'admin')

let service: Service
let keys: Record<'own' | 'other', string>
let badKeys: Record<string, string>
let media: Awaited<ReturnType<typeof givenMediaModels>>
beforeAll(async () => {
  media = await givenMediaModels()
  service = await startService({
    queue: 'redis',
    dispatchers: 0,
    env: {
      AWAIT_SECONDS: '0',
      BATCH_SLOTS: '0',
      MODELS_DIR: media.dir,
      // What is held until its end needs a worker; everything else stays as it is made.
      POOLS: 'media',
    },
  })
  const { accountId: other } = await givenAccount(service)
  // So that its ledger has pages.
  for (const amount of [1, 2])
    await moveCredits(service.db, { accountId: service.accountId, amount, reason: 'for a test' })
  const all = scopes.filter((scope) => scope !== 'admin')
  keys = {
    own: await givenKeyWith(service, { scopes: all }),
    other: await givenKeyWith(service, { scopes: all, accountId: other }),
  }
  const revoked = await givenKey(service, service.accountId)
  await revokeKey(service.db, { kind: 'cli' }, { id: revoked.id })
  const expired = await givenKey(service, service.accountId, new Date(Date.now() - 1_000))
  badKeys = { unknown: newApiKey(), revoked: revoked.key, expired: expired.key, malformed: 'sk-mr-nonsense' }
})
afterAll(async () => {
  await service.stop()
  await media.close()
})

test('the operations are those that the service serves', async () => {
  const { paths } = (await callerOf(service.url)('GET /openapi.json')).body
  const served = Object.entries<object>(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  expect(operations.map(({ name }) => name)).toEqual(served)
  expect(keyed.length).toBeGreaterThan(30)
})

describe.each(keyed)('$name', (operation) => {
  test('is answered to its owner', async () => {
    const reply = await ask(operation, await given(operation.owned), { key: keys.own })
    expect(operation.replies).toContain(reply.status)
    expect(reply.status, reply.text).toBeLessThan(300)
  })

  test('without a key, or with one that is not good, is 401 and does nothing', async () => {
    const id = await given(operation.owned)
    const before = await everything()
    const ids = [id, strange(operation.owned), 'nonsense']
    const withoutKey = await Promise.all(ids.map((one) => ask(operation, one)))
    const withBadKey = await Promise.all(
      Object.values(badKeys).flatMap((key) => [
        ...ids.map((one) => ask(operation, one, { key })),
        ask(operation, id, { headers: { authorization: `Bearer ${key}` } }),
      ]),
    )

    for (const replies of [withoutKey, withBadKey]) {
      expect(new Set(replies.map(({ all }) => all)).size).toBe(1)
      const words = operation.name.includes('/v1/messages') ? '"authentication_error"' : '"UNAUTHORIZED"'
      expect(replies[0]).toMatchObject({ status: 401, text: expect.stringContaining(words) })
    }
    expect(await everything()).toEqual(before)
  })
})

describe.each(keyed.filter((one) => one.owned !== undefined))('$name', (operation) => {
  test('is answered to another account as for an id that never was, and does nothing', async () => {
    const id = await given(operation.owned)
    const before = await everything()
    for (const way of await waysOf(operation, id)) {
      const theirs = await ask(operation, id, { key: keys.other, ...way })
      const random = await ask(operation, strange(operation.owned), { key: keys.other, ...way })
      const malformed = await ask(operation, `${operation.owned}_nonsense`, { key: keys.other, ...way })

      expect([way, theirs.status]).toEqual([way, 404])
      expect(theirs.all).toBe(random.all)
      expect(theirs.all).toBe(malformed.all)
    }
    expect(await everything()).toEqual(before)
  })
})

describe.each(keyed.filter((one) => one.owned === undefined && one.method === 'GET'))(
  '$name',
  (operation) => {
    test('is the same to another account before and after this one makes things', async () => {
      const make = () => Promise.all([...kinds, ...kinds].map(given))
      await make() // so that there are pages, and a cursor to steal
      const ways = await waysOf(operation)
      const askAll = async () => {
        const replies = await Promise.all(ways.map((way) => ask(operation, '', { key: keys.other, ...way })))
        return replies.map(({ all, ...reply }) => ({ ...reply, all: withoutTheMoment(all) }))
      }

      const before = await askAll()
      await make()
      const after = await askAll()

      expect(after.map(({ all }) => all)).toEqual(before.map(({ all }) => all))
      expect(after.map(({ status }) => status)).toEqual(ways.map(() => 200))
    })
  },
)

test.each(operations.filter(({ open }) => open))(
  '$name is open, and the same to everybody',
  async (operation) => {
    const id = await given(operation.owned)
    const all = [undefined, ...Object.values(keys), ...Object.values(badKeys)]
    const replies = await Promise.all(all.map((key) => ask(operation, id, key === undefined ? {} : { key })))
    expect(new Set(replies.map((reply) => reply.all)).size).toBe(1)
    if (operation.owned) expect(replies[0]?.all).toBe((await ask(operation, strange(operation.owned))).all)
  },
)

test('the default secret is of one account alone', async () => {
  const secrets = await Promise.all(
    [keys.own, keys.other].map((key) => callerOf(service.url, key)('GET /v1/webhooks/default/secret')),
  )
  expect(new Set(secrets.map(({ body }) => body.secret)).size).toBe(2)
})

test('an input cannot name a file of another account', async () => {
  const call = callerOf(service.url, keys.other)
  const answers = await Promise.all(
    [await given('file'), strange('file')].map((id) =>
      call('POST /v1/predictions', {
        body: { model: 'upscale', input: { image: `millrace-file:${id}` } },
        headers: { 'x-request-id': 'same' },
      }),
    ),
  )
  expect(answers[0]).toMatchObject({ status: 400, body: { error: { error_id: 'INVALID_FILE_URL' } } })
  expect(answers[0]?.text).toBe(answers[1]?.text)
})

const kinds: readonly OwnedKind[] = [
  'pred',
  'video',
  'file',
  'whe',
  'batch',
  'resp',
  'chatcmpl',
  'budget',
  'key',
]

/** One more thing that the first account owns, by its id; '' where none is asked for. */
async function given(kind: OwnedKind | undefined): Promise<string> {
  const owner = callerOf(service.url, keys.own)
  switch (kind) {
    case 'pred': {
      const webhook = 'http://127.0.0.1:9/'
      return (await owner('POST /v1/predictions', { body: { model: 'echo', input: {}, webhook } })).body.id
    }
    case 'video': {
      const { id } = (await owner('POST /v1/videos', { body: { model: 'film', prompt: 'a mill' } })).body
      await untilEnded(owner, id)
      return id
    }
    case 'file':
      return (await owner('POST /v1/files?filename=a.txt', { raw: 'text' })).body.id
    case 'whe':
      return (await owner('POST /v1/webhooks', { body: { url: 'http://127.0.0.1:9/' } })).body.id
    case 'batch': {
      const requests = [{ custom_id: 'a', url: '/v1/predictions', body: { model: 'echo', input: {} } }]
      return (await owner('POST /v1/batches', { body: { requests } })).body.id
    }
    case 'resp': {
      const body = { model: 'parrot', input: 'x', background: true }
      return (await owner('POST /v1/responses', { body })).body.id
    }
    case 'chatcmpl': {
      const body = { model: 'parrot', messages: [{ role: 'user', content: 'x' }], store: true }
      return (await owner('POST /v1/chat/completions', { body })).body.id
    }
    case 'budget':
      return (await owner('POST /v1/budgets', { body: { hard_cap: 100 } })).body.id
    case 'key':
      return (await owner('POST /v1/keys', { body: { name: 'one more' } })).body.id
    case 'acct':
    case undefined:
      return ''
  }
}

/** In place of what would be held for a model that nobody serves here. */
const quick: Readonly<Record<string, { body: string }>> = {
  'POST /v1/images/generations': { body: '{"model":"picture","prompt":"a mill by a river"}' },
}

/**
 * How many wait for a model is said to everybody who may use it, and other tests of this file add to it. When a key was
 * used last is noted now and then.
 */
function withoutTheMoment(reply: string): string {
  return /"waiting":\d+|"last_used_at"/.test(reply)
    ? reply
        .replace(/"waiting":\d+/, '"waiting":0')
        .replaceAll(/"last_used_at":("[^"]*"|null)/g, '"last_used_at":null')
        .replace(/^content-length: \d+$/m, '')
    : reply
}

/** An id that never was. */
function strange(kind: OwnedKind | undefined): string {
  if (kind === 'chatcmpl') return `chatcmpl-${newId()}`
  return kind === undefined ? '' : toTypeId(kind === 'video' ? 'pred' : kind, newId())
}

/** The ways of asking that an operation documents: those that hold the answer, change its form or leave it out. */
async function waysOf(
  { name, method, query, headers, streams, owned }: DocumentedOperation,
  id = '',
): Promise<Way[]> {
  const owner = callerOf(service.url, keys.own)
  const ways: Way[] = [{}]
  if (method === 'GET') ways.push({ method: 'HEAD' })
  if (streams) ways.push({ headers: { accept: 'text/event-stream' } })
  if (query.includes('wait')) ways.push({ query: 'wait=1' })
  if (headers.includes('If-None-Match')) {
    const etag = (await owner(name.replace('{id}', id))).headers.get('etag') ?? ''
    ways.push({ headers: { 'if-none-match': etag } })
  }
  if (query.includes('cursor') && owned === undefined) {
    const { next_cursor: cursor } = (await owner(`${name}?per_page=1`)).body.pagination
    ways.push({ query: `per_page=1&cursor=${encodeURIComponent(cursor)}` })
  }
  return ways
}

async function ask(operation: DocumentedOperation, id: string, { key, method, query, headers }: Asked = {}) {
  const request = { ...operation.request, ...quick[operation.name] }
  const response = await fetch(`${service.url}${operation.pathWith(id)}${query ? `?${query}` : ''}`, {
    ...request,
    method: method ?? operation.method,
    headers: { ...request.headers, ...(key ? { 'x-api-key': key } : {}), ...headers, 'x-request-id': 'same' },
    redirect: 'manual',
  })
  const text = await response.text()
  const said = [...response.headers].filter(([name]) => name !== 'date').map((pair) => pair.join(': '))
  return { status: response.status, text, all: [response.status, ...said, '', text].join('\n') }
}

/** All that requests could change. */
async function everything(): Promise<unknown> {
  const tables = [
    'predictions',
    'runs',
    'files',
    'webhook_endpoints',
    'signing_secrets',
    'idempotency_keys',
    'deliveries',
    'batches',
    'stored_answers',
    'budgets',
    'audit_log',
  ]
  const all = tables.map((table) => `(select json_agg(t order by t::text) from ${table} t) as ${table}`)
  const ownKeys = `(select json_agg((id, name, scopes, revoked_at, expires_at) order by id) from api_keys) as api_keys`
  return (await service.db.pool.query(`select ${[...all, ownKeys].join(', ')}`)).rows[0]
}

interface Way {
  method?: string
  query?: string
  headers?: Record<string, string>
}

interface Asked extends Way {
  key?: string
}
