import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { newId, toTypeId } from '@millrace/database/ids'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

let service: Service
let operator: ApiCaller
beforeAll(async () => {
  service = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  operator = callerOf(service.url, service.adminKey)
})
afterAll(() => service.stop())

describe('an account', () => {
  test('is made with a plan, and its first key works', async () => {
    const { status, body } = await operator('POST /v1/admin/accounts', {
      body: { name: 'acme', plan: 'starter', weight: 3, retention: { files_days: 2 } },
    })
    expect(status).toBe(201)
    expect(body).toMatchObject({
      id: expect.stringMatching(/^acct_/),
      name: 'acme',
      plan: 'starter',
      weight: 3,
      over_limit: null,
      suspended: false,
      suspended_at: null,
      retention: { files_days: 2, data_days: null },
    })
    expect((await operator(`GET /v1/admin/accounts/${body.id}`)).body).toEqual(body)
    const { body: key } = await operator(`POST /v1/admin/accounts/${body.id}/keys`, {
      body: { name: 'first' },
    })
    const call = callerOf(service.url, key.key)
    expect((await call('POST /v1/predictions', { body: { model: 'echo', input: {} } })).status).toBe(201)
    expect((await call('GET /v1/keys')).body.data).toMatchObject([{ id: key.id, name: 'first' }])
  })

  test('is on the plan `free` unless told', async () => {
    const { body } = await operator('POST /v1/admin/accounts', { body: { name: 'newcomer' } })
    expect(body.plan).toBe('free')
  })

  test.each<[object, string]>([
    [{ name: '' }, 'name'],
    [{ name: 'DEFAULT' }, 'name'],
    [{ name: 'x', plan: 'no-such' }, 'plan'],
    [{ name: 'x', plan: 'No Name' }, 'plan'],
    [{ name: 'x', weight: 0 }, 'weight'],
    [{ name: 'x', over_limit: 'perhaps' }, 'over_limit'],
    [{ name: 'x', retention: { files_days: 0 } }, 'retention.files_days'],
  ])('with %j is refused by name', async (body, field) => {
    const reply = await operator('POST /v1/admin/accounts', { body })
    expect(refusalOf(reply)).toEqual({ status: 400, id: 'INVALID_PARAMETER', fields: [field] })
  })

  test('is listed newest first, page by page', async () => {
    const { body: made } = await operator('POST /v1/admin/accounts', { body: { name: 'newest' } })
    const { body } = await operator('GET /v1/admin/accounts?per_page=1')
    expect(body.data).toEqual([made])
    const { body: next } = await operator(
      `GET /v1/admin/accounts?per_page=50&cursor=${body.pagination.next_cursor}`,
    )
    expect(next.data.at(-1).name).toBe('default')
  })

  test('that is suspended is told so at once, and works again when it is not', async () => {
    const { id, call } = await givenAccount('to be renamed')
    await operator(`PATCH /v1/admin/accounts/${id}`, { body: { name: 'suspended' } })
    expect((await call('GET /v1/models')).status).toBe(200)
    const { body } = await operator(`PATCH /v1/admin/accounts/${id}`, { body: { suspended: true } })
    expect(body).toMatchObject({ suspended: true, suspended_at: expect.any(String), name: 'suspended' })
    expect(refusalOf(await call('GET /v1/models'))).toMatchObject({ status: 401, id: 'ACCOUNT_SUSPENDED' })
    const again = await operator(`PATCH /v1/admin/accounts/${id}`, { body: { suspended: true } })
    expect(again.body.suspended_at).toBe(body.suspended_at)
    await operator(`PATCH /v1/admin/accounts/${id}`, { body: { suspended: false } })
    expect((await call('GET /v1/models')).status).toBe(200)
    const acts = (await operator(`GET /v1/admin/audit?target=${id}`)).body.data
    expect(acts).toMatchObject([
      { act: 'account.unsuspend', before: { suspended: true }, after: { suspended: false } },
      { act: 'account.suspend', before: { suspended: false }, after: { suspended: true } },
      { act: 'account.change', before: { name: 'to be renamed' }, after: { name: 'suspended' } },
      { act: 'account.create', before: null, after: { name: 'to be renamed', plan: 'free' } },
    ])
  })

  test('that there is not is 404', async () => {
    for (const id of [toTypeId('acct', newId()), 'acct_nonsense', 'nonsense'])
      for (const [request, options] of [
        [`GET /v1/admin/accounts/${id}`, {}],
        [`PATCH /v1/admin/accounts/${id}`, { body: { weight: 2 } }],
        [`POST /v1/admin/accounts/${id}/keys`, { body: { name: 'x' } }],
      ] as const)
        expect(refusalOf(await operator(request, options))).toMatchObject({
          status: 404,
          id: 'ACCOUNT_NOT_FOUND',
        })
  })
})

describe('a plan', () => {
  test('is data: put under its name, it is what it says', async () => {
    const settings = {
      limits: { requests: 5, families: { files: { requests: 2 } } },
      models: { deny: ['x*'] },
    }
    const { body } = await operator('PUT /v1/admin/plans/trial', { body: settings })
    expect(body).toMatchObject({ name: 'trial', settings })
    const { body: changed } = await operator('PUT /v1/admin/plans', { body: { name: 'trial', settings: {} } })
    expect(changed).toMatchObject({ settings: {}, created_at: body.created_at })
    const { body: all } = await operator('GET /v1/admin/plans')
    expect(all.data.map(({ name }: { name: string }) => name)).toEqual(
      expect.arrayContaining(['free', 'pro', 'starter', 'trial', 'unlimited']),
    )
    const acts = (await operator('GET /v1/admin/audit?target=trial&act=plan.set')).body.data
    expect(acts).toMatchObject([
      { before: settings, after: {}, account_id: null },
      { before: null, after: settings },
    ])
  })

  test.each<[string, object, string]>([
    ['No', {}, 'name'],
    ['odd', { limits: { requests: 'many' } }, 'limits.requests'],
    ['odd', { limits: { families: { everything: {} } } }, 'limits.families'],
    ['odd', { limits: { request: 5 } }, 'limits'],
    ['odd', { price_multiplier: -1 }, 'price_multiplier'],
  ])('%s with %j is refused by name', async (name, settings, field) => {
    const reply = await operator(`PUT /v1/admin/plans/${name}`, { body: settings })
    expect(refusalOf(reply)).toMatchObject({ status: 400, fields: [field] })
  })
})

describe('the audit log', () => {
  test('is filtered by time, act, account and key, and paged', async () => {
    const { id } = await givenAccount('audited')
    const { body: of } = await operator(`GET /v1/admin/audit?account=${id}&per_page=1`)
    expect(of.data).toMatchObject([{ act: 'key.create', account_id: id }])
    const { body: next } = await operator(
      `GET /v1/admin/audit?account=${id}&cursor=${of.pagination.next_cursor}`,
    )
    expect(next.data).toMatchObject([{ act: 'account.create', target: id }])
    const { key_id: key } = of.data[0].by
    expect((await operator(`GET /v1/admin/audit?key=${key}`)).body.data.length).toBeGreaterThan(1)
    expect((await operator('GET /v1/admin/audit?to=2020-01-01')).body.data).toEqual([])
    expect((await operator('GET /v1/admin/audit?from=2020-01-01')).body.data.length).toBeGreaterThan(1)
    for (const [query, error] of [
      ['account=acme', 'INVALID_PARAMETER'],
      ['key=nonsense', 'INVALID_PARAMETER'],
      ['from=yesterday', 'INVALID_DATE_FORMAT'],
    ])
      expect(refusalOf(await operator(`GET /v1/admin/audit?${query}`)).id).toBe(error)
  })

  test('begins with the credits that the first start gave and the keys that it let in', async () => {
    const acts = await Promise.all(
      ['key.create', 'credits.topup'].map((act) => operator(`GET /v1/admin/audit?act=${act}&to=2999-01-01`)),
    )
    const all = acts.flatMap(({ body }) => body.data)
    const first = all.filter(({ by }: { by: { type: string } }) => by.type === 'setup')
    expect(first).toMatchObject([
      { after: { name: 'default' } },
      { after: { name: 'admin' } },
      { after: { amount: 1_000_000, reason: 'For a first hour' }, account_id: first[0].account_id },
    ])
  })

  test('is never changed and never shortened, not even by hand', async () => {
    for (const statement of [`update audit_log set act = 'nothing'`, 'delete from audit_log'])
      await expect(service.db.pool.query(statement)).rejects.toMatchObject({ code: '23514' })
  })
})

describe('the command line', () => {
  test('does the same, and the audit log says that it was it', async () => {
    expect(await admin('accounts', 'create', 'mill', '--plan', 'pro', '--weight', '2')).toMatch(
      /^acct_\w+ {2}mill {2}pro {2}weight 2$/,
    )
    const [id = ''] = (
      await admin('accounts', 'set', 'mill', '--plan', 'free', '--over-limit', 'refuse')
    ).split('  ')
    expect((await operator(`GET /v1/admin/accounts/${id}`)).body).toMatchObject({
      plan: 'free',
      over_limit: 'refuse',
    })

    const [keyId = '', key = ''] = (
      await admin(
        ...['keys', 'create', '--account', 'mill', '--name', 'wheel', '--scopes', 'models:read,keys:read'],
        ...[
          '--models',
          'echo,doodle*',
          '--deny-models',
          'service:partner',
          '--ip',
          '127.0.0.0/8,::1',
          '--expires',
          '2099-12-31',
        ],
      )
    ).split('\n')
    const call = callerOf(service.url, key)
    expect((await call(`GET /v1/keys/${keyId}`)).body).toMatchObject({
      name: 'wheel',
      scopes: ['models:read', 'keys:read'],
      models: { allow: ['echo', 'doodle*'], deny: ['service:partner'] },
      ip_allow: ['127.0.0.0/8', '::1'],
      expires_at: '2099-12-31T00:00:00.000Z',
    })
    const [newId = '', newKey = ''] = (await admin('keys', 'rotate', keyId, '--overlap', '60')).split('\n')
    expect((await callerOf(service.url, newKey)(`GET /v1/keys/${newId}`)).body.rotated_from).toBe(keyId)
    expect(await admin('keys', 'revoke', newId)).toContain('is revoked')
    expect(await admin('keys', 'list', '--account', 'mill')).toMatch(/expires.*\n.*revoked/)

    expect(await admin('accounts', 'suspend', 'mill')).toContain('suspended')
    await until(async () => (await call('GET /v1/models')).status === 401, {
      within: 5_000,
      what: 'the suspension',
    })
    expect(await admin('accounts', 'unsuspend', 'mill')).not.toContain('suspended')

    expect(await admin('plans', 'set', 'by-hand', '{"limits":{"running":1}}')).toBe(
      'by-hand  {"limits":{"running":1}}',
    )
    expect(await admin('plans', 'list')).toContain('by-hand  {"limits":{"running":1}}')

    const { body } = await operator(`GET /v1/admin/audit?account=${id}&per_page=50`)
    expect(body.data.every(({ by }: { by: { type: string } }) => by.type === 'cli')).toBe(true)
    expect(body.data.map(({ act }: { act: string }) => act)).toEqual([
      'account.unsuspend',
      'account.suspend',
      'key.revoke',
      'key.rotate',
      'key.create',
      'account.change',
      'account.create',
    ])
    expect(await admin('audit', '--account', 'mill')).toContain('account.suspend')
  }, 60_000)

  test.each<[string[], RegExp]>([
    [['accounts', 'create', 'default'], /an account of that name/],
    [['accounts', 'create', 'x', '--plan', 'none'], /no such plan/],
    [['accounts', 'set', 'default', '--weight', 'heavy'], /takes a number/],
    [['keys', 'create', '--scopes', 'all'], /scopes/],
    [['keys', 'create', '--ip', 'home'], /ip_allow\.0 must be an address/],
    [['plans', 'set', 'x', '{'], /as JSON/],
    [['keys', 'revoke', 'key_x'], /no key key_x/],
  ])('says what is wrong with %j', async (words, expected) => {
    await expect(admin(...words)).rejects.toMatchObject({ stderr: expect.stringMatching(expected) })
  })

  async function admin(...words: string[]): Promise<string> {
    const program = new URL('../apps/api/src/admin.ts', import.meta.url).pathname
    const { stdout } = await promisify(execFile)(process.execPath, [program, ...words], {
      env: service.environment,
    })
    return stdout.trim()
  }
})

async function givenAccount(name: string): Promise<{ id: string; call: ApiCaller }> {
  const { body: account } = await operator('POST /v1/admin/accounts', { body: { name } })
  const { body } = await operator(`POST /v1/admin/accounts/${account.id}/keys`, { body: { name: 'a key' } })
  return { id: account.id, call: callerOf(service.url, body.key) }
}
