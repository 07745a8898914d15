import { createKeyRing } from '@millrace/accounts/api-keys'
import { revokeKey } from '@millrace/accounts/manage-keys'
import { keepCallers } from '@millrace/api/callers'
import type { Database } from '@millrace/database/connect'
import { fromTypeId, toTypeId } from '@millrace/database/ids'
import { newApiKey } from '@millrace/keys/api-key'
import { openQueue } from '@millrace/queue/open-queue'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { startApiHere } from './api-here.ts'
import { givenAccount, givenKey } from './given-accounts.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

let service: Service
let anyone: ApiCaller
beforeAll(async () => {
  service = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  anyone = callerOf(service.url)
})
afterAll(() => service.stop())

const asked = (headers: Record<string, string>) => anyone('GET /v1/predictions', { headers })
const statusWith = async (headers: Record<string, string>) => (await asked(headers)).status

test('x-api-key and Authorization: Bearer each open the door alone', async () => {
  expect(await statusWith({ 'x-api-key': service.apiKey })).toBe(200)
  expect(await statusWith({ authorization: `Bearer ${service.apiKey}` })).toBe(200)
  expect(await statusWith({ authorization: `bearer ${service.apiKey}` })).toBe(200)
})

test('where both are sent, x-api-key wins', async () => {
  expect(await statusWith({ 'x-api-key': service.apiKey, authorization: 'Bearer nonsense' })).toBe(200)
  expect(await statusWith({ 'x-api-key': newApiKey(), authorization: `Bearer ${service.apiKey}` })).toBe(401)
})

test.each<[string, Record<string, string>]>([
  ['no key', {}],
  ['a key of another scheme', { authorization: 'Basic c2stbXI=' }],
  ['a malformed key', { 'x-api-key': 'sk-mr-nonsense' }],
  ['a well-formed key that nobody has', { 'x-api-key': newApiKey() }],
  ['an empty bearer', { authorization: 'Bearer ' }],
])('%s is 401', async (_, headers) => {
  const reply = await asked(headers)
  expect(refusalOf(reply)).toMatchObject({ status: 401, id: 'UNAUTHORIZED' })
  expect(reply.body.error.retryable).toBe(false)
})

test.each(['', 'Basic ', 'Bearer: ', 'Token '])(
  'a key sent after "%s" instead of "Bearer " is told how to send it',
  async (scheme) => {
    const { status, body } = await asked({ authorization: scheme + service.apiKey })
    expect(status).toBe(401)
    expect(body.error.message).toBe('The Authorization header must be `Authorization: Bearer <key>`.')
  },
)

test('an unknown, a revoked and an expired key answer alike', async () => {
  const revoked = await givenKey(service, service.accountId)
  await revokeKey(service.db, { kind: 'cli' }, { id: revoked.id })
  const expired = await givenKey(service, service.accountId, new Date(Date.now() - 1000))
  const replies = await Promise.all(
    [newApiKey(), revoked.key, expired.key].map((key) => asked({ 'x-api-key': key, 'x-request-id': 'same' })),
  )
  const said = replies.map(({ status, headers, text }) => {
    const told = [...headers].filter(([name]) => name !== 'date')
    return JSON.stringify([status, told, text])
  })
  expect(new Set(said).size).toBe(1)
  expect(replies[0]?.status).toBe(401)
})

test('a revocation takes effect on keys in use', async () => {
  const { id, key } = await givenKey(service, service.accountId)
  expect(await statusWith({ 'x-api-key': key })).toBe(200)
  await revokeKey(service.db, { kind: 'cli' }, { id })
  await until(async () => (await statusWith({ 'x-api-key': key })) === 401, { within: 3000, what: '401' })
})

test('an expiry takes effect on keys in use', async () => {
  const { key } = await givenKey(service, service.accountId, new Date(Date.now() + 1000))
  expect(await statusWith({ 'x-api-key': key })).toBe(200)
  await until(async () => (await statusWith({ 'x-api-key': key })) === 401, { within: 5000, what: '401' })
})

test('a suspended account is told so', async () => {
  const { accountId, apiKey } = await givenAccount(service)
  await service.db.pool.query('update accounts set suspended_at = clock_timestamp() where id = $1', [
    accountId,
  ])
  expect(refusalOf(await asked({ 'x-api-key': apiKey }))).toMatchObject({
    status: 401,
    id: 'ACCOUNT_SUSPENDED',
  })
})

test('what needs no key answers without one', async () => {
  for (const path of ['/livez', '/readyz', '/openapi.json', '/docs'])
    expect([path, (await anyone(`GET ${path}`)).status]).toEqual([path, 200])
})

test('ten thousand malformed keys cost no query', async () => {
  const blind = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  await blind.db.pool.query('drop table api_keys cascade')
  const call = callerOf(blind.url)
  const broken = () => newApiKey().replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'))

  const statuses = new Set<number>()
  for (let sent = 0; sent < 10_000; sent += 100) {
    const some = Array.from({ length: 100 }, () =>
      call('GET /v1/predictions', { headers: { 'x-api-key': broken() } }),
    )
    for (const { status } of await Promise.all(some)) statuses.add(status)
  }
  const wellFormed = await call('GET /v1/predictions', { headers: { 'x-api-key': newApiKey() } })

  expect([...statuses]).toEqual([401])
  expect(refusalOf(wellFormed)).toMatchObject({ status: 500, id: 'INTERNAL_ERROR' })
  expect(wellFormed.text).not.toMatch(/api_keys|relation|select/i)
  await blind.stop()
}, 120_000)

test('what the operator and the owner change is told to every process', async () => {
  const { REDIS_URL: redisUrl, QUEUE_PREFIX: prefix, DATABASE_URL: databaseUrl = '' } = service.environment
  const listening = openQueue({ databaseUrl, redisUrl, prefix, name: 'test' })
  const told = new Set<string>()
  listening.listen('keys', (ids) => {
    for (const id of ids) told.add(id)
  })
  const operator = callerOf(service.url, service.adminKey)
  const { accountId } = await givenAccount(service)
  const account = toTypeId('acct', accountId)
  const { body: key } = await operator(`POST /v1/keys`, { body: { name: 'short-lived' } })
  const plan = { limits: { requests: 1_000_000 } }
  await until(
    async () => {
      await operator(`DELETE /v1/keys/${key.id}`)
      await operator(`PATCH /v1/admin/accounts/${account}`, { body: { suspended: true } })
      await operator('PUT /v1/admin/plans/pro', { body: plan })
      return told.size === 3
    },
    { within: 20_000, what: 'all to be told' },
  )
  expect([...told].sort()).toEqual([fromTypeId('key', key.id), accountId, 'plan:pro'].sort())
  await listening.close()
})

test('a revocation at one api takes effect on keys in use at another', async () => {
  const other = await startApiHere(service)
  const { id, key } = await givenKey(service, service.accountId)
  const there = async () => (await callerOf(other.url, key)('GET /v1/predictions')).status
  expect(await there()).toBe(200)
  await callerOf(service.url, service.adminKey)(`DELETE /v1/keys/${toTypeId('key', id)}`)
  await until(async () => (await there()) === 401, { within: 3_000, what: '401' })
  await other.close()
})

describe('who is behind a key', () => {
  const ring = () => createKeyRing(service.masterKey)

  test('is looked up anew as soon as it is told that something has changed', async () => {
    const { id, key } = await givenKey(service, service.accountId)
    const callers = keepCallers(service.db, ring())
    expect(await callers.of(key)).toMatchObject({ keyId: id })
    await service.db.pool.query('update api_keys set name = $2 where id = $1', [id, 'renamed'])
    callers.forget([id])
    expect(await callers.of(key)).toMatchObject({ keyName: 'renamed' })
    await service.db.pool.query('update api_keys set revoked_at = clock_timestamp() where id = $1', [id])
    callers.forget([service.accountId])
    expect(await callers.of(key)).toBeUndefined()
    callers.close()
  })

  test('stays known while any number of unknown keys are tried, which are looked up many at a time', async () => {
    // The second that it is known for does not pass.
    vi.useFakeTimers({ toFake: ['performance'] })
    const { key } = await givenKey(service, service.accountId)
    const statements = countingStatements(service.db)
    const callers = keepCallers(statements.db, ring())
    await callers.of(key)
    const tried = 12_000
    const answers = await Promise.all(Array.from({ length: tried }, () => callers.of(newApiKey())))
    expect(answers.some((one) => one !== undefined)).toBe(false)
    expect(statements.count()).toBeLessThan(tried / 50)

    callers.close()
    const before = statements.count()
    expect(await callers.of(key)).toMatchObject({ accountId: service.accountId })
    expect(statements.count()).toBe(before)
    vi.useRealTimers()
  })
})

/** A database that counts what it is asked by its pool. */
function countingStatements(db: Database): { db: Database; count(): number } {
  let count = 0
  const pool = Object.create(db.pool, {
    query: {
      value: (...given: [string]) => {
        count += 1
        return db.pool.query(...given)
      },
    },
  }) as Database['pool']
  return { db: { ...db, pool }, count: () => count }
}
