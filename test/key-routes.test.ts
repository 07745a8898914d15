import { usualScopes } from '@millrace/contract/scopes'
import { newId, toTypeId } from '@millrace/database/ids'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { givenAccount, givenKeyWith } from './given-accounts.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

let service: Service
let owner: ApiCaller
beforeAll(async () => {
  service = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  owner = callerOf(service.url, await givenKeyWith(service, { scopes: [...usualScopes, 'keys:write'] }))
})
afterAll(() => service.stop())

const made = async (body: object) => (await owner('POST /v1/keys', { body: { name: 'a key', ...body } })).body
const works = async (key: string, request = 'GET /v1/predictions') =>
  (await callerOf(service.url, key)(request)).status === 200

describe('a key that was made', () => {
  test('works, and its text is shown that once', async () => {
    const { status, headers, body } = await owner('POST /v1/keys', { body: { name: 'laptop' } })
    expect(status).toBe(201)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(await works(body.key)).toBe(true)
    const { key, ...shown } = body
    expect(shown).toMatchObject({
      id: expect.stringMatching(/^key_/),
      name: 'laptop',
      prefix: key.slice(0, 11),
      state: 'active',
      scopes: usualScopes,
      models: null,
      ip_allow: null,
      limits: null,
      credit_limit: null,
      expires_at: null,
      revoked_at: null,
      last_used_at: null,
      rotated_from: null,
    })
    const { body: got, text } = await owner(`GET /v1/keys/${body.id}`)
    expect({ ...got, last_used_at: null }).toEqual(shown)
    expect(text).not.toContain(key)
    expect((await owner('GET /v1/keys')).text).not.toContain(key)
  })

  test('does what it was made for, and nothing else', async () => {
    const { key } = await made({ scopes: ['models:read'] })
    expect(await works(key, 'GET /v1/models')).toBe(true)
    const refused = await callerOf(service.url, key)('GET /v1/predictions')
    expect(refusalOf(refused)).toMatchObject({ status: 403, id: 'SCOPE_REQUIRED' })
    expect(refused.body.error.message).toContain('`predictions:read`')
  })

  test('ends when it was to end', async () => {
    const { key, expires_at } = await made({ expires_in: 2 })
    expect(Date.parse(expires_at)).toBeGreaterThan(Date.now() - 1_000)
    expect(await works(key)).toBe(true)
    await until(async () => !(await works(key)), { within: 6_000, what: 'its end' })
  })

  test('is listed newest first, page by page', async () => {
    const ids = [(await made({})).id, (await made({})).id].reverse()
    const first = (await owner('GET /v1/keys?per_page=1')).body
    const second = (await owner(`GET /v1/keys?per_page=1&cursor=${first.pagination.next_cursor}`)).body
    expect([first, second].map(({ data }) => data[0].id)).toEqual(ids)
    expect(first.pagination).toMatchObject({ current_page: 1, per_page: 1 })
  })
})

test.each([
  [{ name: '' }, 'name'],
  [{ scopes: ['everything'] }, 'scopes.0'],
  [{ scopes: [] }, 'scopes'],
  [{ ip_allow: ['10.0.0.0/33'] }, 'ip_allow.0'],
  [{ ip_allow: ['10.0.0.0/8', 'localhost'] }, 'ip_allow.1'],
  [{ expires_at: '2001-01-01T00:00:00Z' }, 'expires_at'],
  [{ expires_at: 'tomorrow' }, 'expires_at'],
  [{ expires_at: '2099-01-01T00:00:00Z', expires_in: 5 }, 'expires_in'],
  [{ models: { allow: 'doodle' } }, 'models.allow'],
  [{ limits: { requests: -1 } }, 'limits.requests'],
])('a key with %j is refused by name', async (body, field) => {
  const reply = await owner('POST /v1/keys', { body: { name: 'a key', ...body } })
  expect(refusalOf(reply)).toEqual({ status: 400, id: 'INVALID_PARAMETER', fields: [field] })
})

describe('a key never gives more than it has', () => {
  test.each<[string, Parameters<typeof givenKeyWith>[1], object, string]>([
    ['scopes', {}, { scopes: ['files:read', 'admin'] }, 'SCOPE_REQUIRED'],
    [
      'models',
      { models: { allow: ['doodle*'] } },
      { models: { allow: ['doodle', 'echo'] } },
      'MODEL_FORBIDDEN',
    ],
    ['all models', { models: { allow: ['doodle*'] } }, { models: null }, 'MODEL_FORBIDDEN'],
    [
      'models it is denied',
      { models: { deny: ['echo'] } },
      { models: { deny: ['doodle'] } },
      'MODEL_FORBIDDEN',
    ],
    ['addresses', { ip_allow: ['127.0.0.0/8', '::1'] }, { ip_allow: ['10.0.0.1'] }, 'SECURITY_VIOLATION'],
    ['all addresses', { ip_allow: ['127.0.0.0/8', '::1'] }, { ip_allow: null }, 'SECURITY_VIOLATION'],
    ['time', { expires_at: inAnHour() }, { expires_in: 7_200 }, 'SECURITY_VIOLATION'],
    ['endless time', { expires_at: inAnHour() }, { expires_at: null }, 'SECURITY_VIOLATION'],
  ])('%s', async (_, settings, wanted, id) => {
    const scopes = [...usualScopes, 'keys:write'] as const
    const narrow = callerOf(service.url, await givenKeyWith(service, { ...settings, scopes }))
    const { body: other } = await narrow('POST /v1/keys', { body: { name: 'within' } })

    expect(refusalOf(await narrow('POST /v1/keys', { body: { name: 'more', ...wanted } }))).toMatchObject({
      status: 403,
      id,
    })
    expect(refusalOf(await narrow(`PATCH /v1/keys/${other.id}`, { body: wanted }))).toMatchObject({
      status: 403,
      id,
    })
  })

  test('what is left out is as of the key that asks', async () => {
    const settings = {
      scopes: ['keys:write', 'models:read', 'admin'] as const,
      models: { allow: ['doodle', 'echo'] },
      ip_allow: ['127.0.0.0/8', '::1'],
      expires_at: inAnHour(),
    }
    const narrow = callerOf(service.url, await givenKeyWith(service, settings))
    expect((await narrow('POST /v1/keys', { body: { name: 'as it' } })).body).toMatchObject({
      scopes: ['models:read'],
      models: settings.models,
      ip_allow: settings.ip_allow,
      expires_at: settings.expires_at.toISOString(),
    })
  })

  test('by rotating, changing or revoking one that has more', async () => {
    const { body } = await callerOf(service.url, service.adminKey)('POST /v1/keys', {
      body: { name: 'stronger', scopes: ['admin'] },
    })
    for (const [request, options] of [
      [`POST /v1/keys/${body.id}/rotate`, { body: {} }],
      [`PATCH /v1/keys/${body.id}`, { body: { name: 'mine' } }],
      [`DELETE /v1/keys/${body.id}`, {}],
    ] as const)
      expect(refusalOf(await owner(request, options))).toMatchObject({ status: 403, id: 'SCOPE_REQUIRED' })
    expect(await works(body.key, 'GET /v1/admin/plans')).toBe(true)
  })
})

describe('a change of a key', () => {
  test('holds for the next request, and what is left out stays', async () => {
    const { id, key } = await made({ scopes: ['models:read', 'predictions:read'], limits: { requests: 9 } })
    expect(await works(key)).toBe(true)
    const { body } = await owner(`PATCH /v1/keys/${id}`, { body: { scopes: ['models:read'], name: 'less' } })
    expect(body).toMatchObject({ name: 'less', scopes: ['models:read'], limits: { requests: 9 } })
    expect(await works(key)).toBe(false)
    expect(await works(key, 'GET /v1/models')).toBe(true)
    expect((await owner(`PATCH /v1/keys/${id}`, { body: { limits: null } })).body.limits).toBeNull()
  })

  test('of one that is revoked is refused', async () => {
    const { id } = await made({})
    await owner(`DELETE /v1/keys/${id}`)
    for (const request of [`PATCH /v1/keys/${id}`, `POST /v1/keys/${id}/rotate`])
      expect(refusalOf(await owner(request, { body: {} }))).toMatchObject({
        status: 400,
        id: 'INVALID_REQUEST',
      })
  })
})

describe('a credit limit', () => {
  const limit = { credits: 5, period: 'month' }
  const budgetsOf = async (id: string) =>
    (await owner('GET /v1/budgets?per_page=50')).body.data.filter(
      (one: { key_id: string }) => one.key_id === id,
    )

  test('is shown with its key, and is a budget of its own', async () => {
    const { id, credit_limit } = await made({ credit_limit: limit })
    expect(credit_limit).toEqual(limit)
    expect((await owner(`GET /v1/keys/${id}`)).body.credit_limit).toEqual(limit)
    expect(await budgetsOf(id)).toMatchObject([
      { scope: 'key', period: 'month', hard_cap: 5, credit_limit: true },
    ])
  })

  test('keeps what was spent when its credits change, and begins anew in another period', async () => {
    const { id } = await made({ credit_limit: limit })
    await service.db.pool.query('update budgets set spent = 3000000 where credit_limit')
    const change = async (credit_limit: object | null) =>
      (await owner(`PATCH /v1/keys/${id}`, { body: { credit_limit } })).body.credit_limit
    expect(await change({ credits: 4.5, period: 'month' })).toEqual({ credits: 4.5, period: 'month' })
    expect(await budgetsOf(id)).toMatchObject([{ spent: 3, remaining: 1.5 }])
    expect(await change({ credits: 4, period: 'day' })).toEqual({ credits: 4, period: 'day' })
    expect(await budgetsOf(id)).toMatchObject([{ spent: 0, remaining: 4 }])
    expect((await owner(`PATCH /v1/keys/${id}`, { body: { name: 'same' } })).body.credit_limit).toMatchObject(
      { credits: 4 },
    )
    expect(await change(null)).toBeNull()
    expect(await budgetsOf(id)).toEqual([])
  })

  test('is no budget that could be changed or taken away past its key', async () => {
    const { id } = await made({ credit_limit: limit })
    const [budget] = await budgetsOf(id)
    for (const way of ['PATCH', 'DELETE'])
      expect(
        refusalOf(await owner(`${way} /v1/budgets/${budget.id}`, { body: { hard_cap: null } })),
      ).toMatchObject({
        status: 400,
        fields: ['id'],
      })
    expect(await budgetsOf(id)).toMatchObject([{ id: budget.id, hard_cap: 5 }])
  })

  test('goes on over a rotation: the new key spends what the old one left', async () => {
    const { id } = await made({ credit_limit: limit })
    const [budget] = await budgetsOf(id)
    const { body } = await owner(`POST /v1/keys/${id}/rotate`, { body: {} })
    expect(body.credit_limit).toEqual(limit)
    expect(await budgetsOf(body.id)).toMatchObject([{ id: budget.id }])
    expect((await owner(`GET /v1/keys/${id}`)).body.credit_limit).toEqual(limit)
  })

  test('holds for the keys that a limited key makes', async () => {
    const { key } = await made({ scopes: ['keys:write'], credit_limit: limit })
    const limited = callerOf(service.url, key)
    const make = (credit_limit?: object | null) =>
      limited('POST /v1/keys', { body: { name: 'x', scopes: ['keys:write'], credit_limit } })
    expect((await make()).body.credit_limit).toEqual(limit)
    expect((await make({ credits: 1, period: 'month' })).status).toBe(201)
    for (const beyond of [null, { credits: 6, period: 'month' }, { credits: 1, period: 'day' }])
      expect(refusalOf(await make(beyond))).toMatchObject({ status: 403, fields: ['credit_limit'] })
  })

  test.each([
    [{ credits: -1, period: 'day' }, 'credit_limit.credits'],
    [{ credits: 1, period: 'year' }, 'credit_limit.period'],
    [{ credits: 1 }, 'credit_limit.period'],
  ])('of %j is refused by name', async (credit_limit, field) => {
    const refused = await owner('POST /v1/keys', { body: { name: 'x', credit_limit } })
    expect(refusalOf(refused)).toMatchObject({ status: 400, fields: [field] })
  })
})

describe('a revoked key', () => {
  test('is refused from then on, and stays in the list', async () => {
    const { id, key } = await made({})
    expect(await works(key)).toBe(true)
    const { status, body } = await owner(`DELETE /v1/keys/${id}`)
    expect(status).toBe(200)
    expect(body).toMatchObject({ state: 'revoked', revoked_at: expect.any(String) })
    expect(await works(key)).toBe(false)
    expect((await owner(`GET /v1/keys/${id}`)).body.state).toBe('revoked')
    expect((await owner(`DELETE /v1/keys/${id}`)).body.revoked_at).toBe(body.revoked_at)
  })

  test('may have been revoked by itself', async () => {
    const { id, key } = await made({ scopes: ['keys:write'] })
    const itself = callerOf(service.url, key)
    expect((await itself(`DELETE /v1/keys/${id}`)).status).toBe(200)
    expect((await itself(`DELETE /v1/keys/${id}`)).status).toBe(401)
  })
})

describe('a rotated key', () => {
  test('works beside the new one, which may do the same, for a day unless told', async () => {
    const settings = {
      scopes: ['models:read', 'predictions:read'],
      models: { deny: ['echo'] },
      ip_allow: ['127.0.0.1'],
    }
    const old = await made(settings)
    const { status, body } = await owner(`POST /v1/keys/${old.id}/rotate`, { body: {} })
    expect(status).toBe(201)
    expect(body).toMatchObject({ ...settings, name: old.name, rotated_from: old.id, expires_at: null })
    expect(body.key).not.toBe(old.key)
    expect([await works(old.key), await works(body.key)]).toEqual([true, true])
    const { expires_at } = (await owner(`GET /v1/keys/${old.id}`)).body
    expect(Math.abs(Date.parse(expires_at) - Date.now() - 86_400_000)).toBeLessThan(60_000)
  })

  test('ends at once with an overlap of 0, and never later than it would have', async () => {
    const old = await made({ expires_in: 600 })
    await owner(`POST /v1/keys/${old.id}/rotate`, { body: { overlap: 3_600 } })
    expect((await owner(`GET /v1/keys/${old.id}`)).body.expires_at).toBe(old.expires_at)
    const { body } = await owner(`POST /v1/keys/${old.id}/rotate`, { body: { overlap: 0, expires_in: 900 } })
    expect([await works(old.key), await works(body.key)]).toEqual([false, true])
    expect(Date.parse(body.expires_at)).toBeGreaterThan(Date.parse(old.expires_at))
  })

  test('overlaps for 30 days at most', async () => {
    const { id } = await made({})
    const reply = await owner(`POST /v1/keys/${id}/rotate`, { body: { overlap: 2_592_001 } })
    expect(refusalOf(reply)).toEqual({ status: 400, id: 'INVALID_PARAMETER', fields: ['overlap'] })
  })
})

test('a key of another account answers like one that never was', async () => {
  const { accountId } = await givenAccount(service)
  const other = callerOf(
    service.url,
    await givenKeyWith(service, { accountId, scopes: ['keys:read', 'keys:write'] }),
  )
  const { id, key } = await made({})
  for (const request of [
    'GET /v1/keys/ID',
    'PATCH /v1/keys/ID',
    'DELETE /v1/keys/ID',
    'POST /v1/keys/ID/rotate',
  ]) {
    const body = /^(PATCH|POST)/.test(request) ? { body: {} } : {}
    const headers = { 'x-request-id': 'same' }
    const [theirs, none] = await Promise.all(
      [id, toTypeId('key', newId())].map((one) => other(request.replace('ID', one), { ...body, headers })),
    )
    expect(theirs).toMatchObject({ status: 404, body: { error: { error_id: 'KEY_NOT_FOUND' } } })
    expect(theirs?.text).toBe(none?.text)
  }
  expect(await works(key)).toBe(true)
})

test('every act is in the audit log, with who did it and without a secret', async () => {
  const { id, key } = await made({ name: 'watched' })
  await owner(`PATCH /v1/keys/${id}`, {
    body: { name: 'renamed' },
    headers: { 'x-request-id': 'the-change' },
  })
  const rotated = (await owner(`POST /v1/keys/${id}/rotate`, { body: {} })).body
  await owner(`DELETE /v1/keys/${id}`)
  const operator = callerOf(service.url, service.adminKey)
  const { body, text } = await operator(`GET /v1/admin/audit?target=${id}`)
  expect(body.data.map(({ act }: { act: string }) => act)).toEqual(['key.revoke', 'key.change', 'key.create'])
  expect(body.data[1]).toMatchObject({
    by: {
      type: 'key',
      key_name: 'test',
      account_id: toTypeId('acct', service.accountId),
      ip: expect.any(String),
    },
    request_id: 'the-change',
    before: { name: 'watched' },
    after: { name: 'renamed' },
  })
  const rotation = (await operator(`GET /v1/admin/audit?act=key.rotate&target=${rotated.id}`)).body.data
  expect(rotation).toMatchObject([{ after: { rotated_from: id } }])
  for (const secret of [key, rotated.key]) expect(text).not.toContain(secret)
})

test('when a key was used last is noted at most once a minute', async () => {
  const { id, key } = await made({})
  await Promise.all(Array.from({ length: 20 }, () => works(key)))
  const lastUsed = async () => (await owner(`GET /v1/keys/${id}`)).body.last_used_at
  const noted = await until(lastUsed, { within: 10_000, what: 'its use to be noted' })
  const versions = async () =>
    (await service.db.pool.query('select xmin from api_keys where prefix = $1', [key.slice(0, 11)])).rows
  const before = await versions()
  await Promise.all(Array.from({ length: 20 }, () => works(key)))
  const { id: later, key: laterKey } = await made({})
  await works(laterKey)
  await until(async () => (await owner(`GET /v1/keys/${later}`)).body.last_used_at, {
    within: 10_000,
    what: 'the next note',
  })
  expect(await lastUsed()).toBe(noted)
  expect(await versions()).toEqual(before)
})

function inAnHour(): Date {
  return new Date(Math.ceil(Date.now() / 1000) * 1000 + 3_600_000)
}
