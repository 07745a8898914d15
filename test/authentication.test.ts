import { revokeKey } from '@millrace/accounts/manage-keys'
import { newApiKey } from '@millrace/keys/api-key'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
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
  expect(new Set(replies.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
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

test('a malformed key costs no query', async () => {
  const blind = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  await blind.db.pool.query('drop table api_keys cascade')
  const call = callerOf(blind.url)
  const broken = newApiKey().replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'))

  const malformed = await call('GET /v1/predictions', { headers: { 'x-api-key': broken } })
  const wellFormed = await call('GET /v1/predictions', { headers: { 'x-api-key': newApiKey() } })

  expect(malformed.status).toBe(401)
  expect(refusalOf(wellFormed)).toMatchObject({ status: 500, id: 'INTERNAL_ERROR' })
  expect(wellFormed.text).not.toMatch(/api_keys|relation|select/i)
  await blind.stop()
})
