import { coversRange, isInRanges, isRange } from '@millrace/accounts/ip-ranges'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callerOf, refusalOf } from './api-caller.ts'
import { givenKeyWith } from './given-accounts.ts'
import { type Service, startService } from './harness/service.ts'

test.each([
  ['10.1.2.3', ['10.1.0.0/16'], true],
  ['10.2.2.3', ['10.1.0.0/16'], false],
  ['10.1.2.3', ['192.168.0.1', '10.1.2.3'], true],
  ['10.1.2.4', ['10.1.2.3'], false],
  ['::ffff:10.1.2.3', ['10.1.0.0/16'], true],
  ['10.1.2.3', ['::ffff:10.1.0.0/112'], true],
  ['10.1.2.3', ['::ffff:10.1.2.3'], true],
  ['2001:db8::7', ['2001:db8::/32'], true],
  ['2001:db9::7', ['2001:db8::/32'], false],
  ['10.1.2.3', ['::/0'], false],
  ['2001:db8::7', ['0.0.0.0/0'], false],
  ['10.1.2.3', ['0.0.0.0/0'], true],
  ['nonsense', ['0.0.0.0/0', '::/0'], false],
  [undefined, ['0.0.0.0/0', '::/0'], false],
])('%s is in %j: %j', (address, ranges, expected) => {
  expect(isInRanges(address, ranges)).toBe(expected)
})

test.each([
  '',
  '10',
  '10.1/16',
  '010.1.0.0/16',
  '0x0a.1.0.0/16',
  'localhost',
  '10.0.0.0/33',
  '10.0.0/8/8',
  '::/129',
  '10.0.0.0/',
  '/8',
  '1.2.3.4/x',
])('%j is no range', (text) => {
  expect(isRange(text)).toBe(false)
})

test.each([
  ['10.1.0.0/16', '10.1.2.0/24', true],
  ['10.1.2.0/24', '10.1.0.0/16', false],
  ['10.1.0.0/16', '10.1.2.3', true],
  ['::/0', '10.1.2.3', false],
  ['10.0.0.0/8', '::ffff:10.1.0.0/112', true],
])('%s has all of %s: %j', (outer, inner, expected) => {
  expect(coversRange([outer], inner)).toBe(expected)
})

describe('a key with addresses', () => {
  let service: Service
  beforeAll(async () => {
    service = await startService({
      queue: 'redis',
      workers: 0,
      dispatchers: 0,
      env: { TRUST_PROXY: 'loopback' },
    })
  })
  afterAll(() => service.stop())

  test('works from there, and is refused from anywhere else in the shape of each surface', async () => {
    const near = callerOf(service.url, await givenKeyWith(service, { ip_allow: ['127.0.0.0/8', '::1'] }))
    expect((await near('GET /v1/models')).status).toBe(200)
    const far = callerOf(service.url, await givenKeyWith(service, { ip_allow: ['203.0.113.0/24'] }))
    expect(refusalOf(await far('GET /v1/models'))).toMatchObject({ status: 403, id: 'SECURITY_VIOLATION' })
    const body = { model: 'parrot', max_tokens: 9, messages: [{ role: 'user', content: 'x' }] }
    expect(await far('POST /v1/chat/completions', { body })).toMatchObject({
      status: 403,
      body: { error: { error_id: 'SECURITY_VIOLATION', type: 'permission_error' } },
    })
    expect(await far('POST /v1/messages', { body })).toMatchObject({
      status: 403,
      body: { error: { type: 'permission_error' } },
    })
  })

  test('is told the address by the proxy that is trusted, and the audit log names it', async () => {
    const scopes = ['models:read', 'keys:write'] as const
    const key = await givenKeyWith(service, { scopes, ip_allow: ['203.0.113.0/24'] })
    const call = callerOf(service.url, key)
    const from = (address: string) => ({ headers: { 'x-forwarded-for': address } })
    expect((await call('GET /v1/models', from('203.0.113.9'))).status).toBe(200)
    expect((await call('GET /v1/models', from('::ffff:203.0.113.9'))).status).toBe(200)
    expect((await call('GET /v1/models', from('203.0.114.9'))).status).toBe(403)
    expect((await call('GET /v1/models', from('203.0.113.9, 203.0.114.9'))).status).toBe(403)

    const body = { name: 'from there', scopes: ['models:read'] }
    const { body: made } = await call('POST /v1/keys', { ...from('203.0.113.9'), body })
    const { body: audit } = await callerOf(
      service.url,
      service.adminKey,
    )(`GET /v1/admin/audit?target=${made.id}`)
    expect(audit.data).toMatchObject([{ by: { ip: '203.0.113.9' } }])
  })

  test('is refused from elsewhere where no proxy is trusted, whatever the request says', async () => {
    const plain = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
    const key = await givenKeyWith(plain, { ip_allow: ['203.0.113.0/24'] })
    const headers = { 'x-forwarded-for': '203.0.113.9' }
    expect((await callerOf(plain.url, key)('GET /v1/models', { headers })).status).toBe(403)
    await plain.stop()
  })
})
