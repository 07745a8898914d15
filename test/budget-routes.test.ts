import { fromTypeId, toTypeId } from '@millrace/database/ids'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { givenAccount, givenKey } from './given-accounts.ts'
import { type Service, startService } from './harness/service.ts'

let service: Service
let call: ApiCaller
beforeAll(async () => {
  service = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  call = callerOf(service.url, service.adminKey)
})
afterAll(() => service.stop())

test('a budget is created, shown, listed, changed and deleted', async () => {
  const asked = { hard_cap: 100.5, thresholds: [{ percent: 80 }, { credits: 0.000001 }], name: 'ours' }
  const { status, body } = await call('POST /v1/budgets', { body: asked })
  expect(status).toBe(201)
  const { period_start, resets_at, ...rest } = body
  expect(rest).toEqual({
    ...asked,
    id: expect.stringMatching(/^budget_[0-9a-z]{26}$/),
    scope: 'account',
    key_id: null,
    tag: null,
    period: 'month',
    credit_limit: false,
    spent: 0,
    held: 0,
    remaining: 100.5,
    created_at: expect.stringMatching(/Z$/),
    updated_at: expect.stringMatching(/Z$/),
  })
  expect(period_start).toMatch(/-01T00:00:00.000Z$/)
  expect(resets_at).toMatch(/-01T00:00:00.000Z$/)
  expect((await call(`GET /v1/budgets/${body.id}`)).body).toEqual(body)
  expect((await call('GET /v1/budgets')).body.data[0]).toEqual(body)

  const change = { hard_cap: null, thresholds: [{ credits: 5 }], name: '' }
  const changed = await call(`PATCH /v1/budgets/${body.id}`, { body: change })
  expect(changed).toMatchObject({ status: 200, body: { ...change, remaining: null, id: body.id } })
  expect((await call(`PATCH /v1/budgets/${body.id}`, { body: {} })).body).toMatchObject(change)

  expect((await call(`DELETE /v1/budgets/${body.id}`)).body).toEqual({ id: body.id, deleted: true })
  for (const asking of ['GET', 'DELETE', 'PATCH']) {
    const again = await call(`${asking} /v1/budgets/${body.id}`, asking === 'PATCH' ? { body: {} } : {})
    expect(refusalOf(again)).toMatchObject({ status: 404, id: 'BUDGET_NOT_FOUND' })
  }
})

test('who made, changed and deleted a budget is in the audit log', async () => {
  const { id } = (await call('POST /v1/budgets', { body: { hard_cap: 10 } })).body
  await call(`PATCH /v1/budgets/${id}`, { body: { hard_cap: 20 } })
  await call(`DELETE /v1/budgets/${id}`)

  const { data } = (await call(`GET /v1/admin/audit?target=${id}`)).body

  expect(data).toMatchObject([
    { act: 'budget.delete', before: { hard_cap: 20 }, after: null },
    { act: 'budget.change', before: { hard_cap: 10 }, after: { hard_cap: 20 } },
    { act: 'budget.create', before: null, after: { hard_cap: 10, period: 'month' } },
  ])
})

test('a budget is of one key, or of one tag', async () => {
  const key_id = toTypeId('key', (await givenKey(service, service.accountId)).id)
  const ofKey = await call('POST /v1/budgets', { body: { scope: 'key', key_id, period: 'day' } })
  expect(ofKey).toMatchObject({ status: 201, body: { scope: 'key', key_id, tag: null, hard_cap: null } })

  const tag = { name: 'team', value: 'red' }
  const ofTag = await call('POST /v1/budgets', { body: { scope: 'tag', tag, period: 'total' } })
  expect(ofTag).toMatchObject({
    status: 201,
    body: { scope: 'tag', tag, key_id: null, period_start: null, resets_at: null },
  })
})

describe('refused by name:', () => {
  const tag = { name: 'team', value: 'red' }
  test.each<[string, object, string]>([
    ['an unknown period', { period: 'year' }, 'period'],
    ['an unknown scope', { scope: 'model' }, 'scope'],
    ['a cap below nothing', { hard_cap: -1 }, 'hard_cap'],
    ['a percentage of no cap', { thresholds: [{ credits: 1 }, { percent: 50 }] }, 'thresholds.1.percent'],
    [
      'a threshold that says two things',
      { hard_cap: 1, thresholds: [{ percent: 1, credits: 1 }] },
      'thresholds.0',
    ],
    ['a threshold that says nothing', { thresholds: [{}] }, 'thresholds.0'],
    ['too many thresholds', { thresholds: Array(21).fill({ credits: 1 }) }, 'thresholds'],
    ['no key for a budget of one', { scope: 'key' }, 'key_id'],
    ['no tag for a budget of one', { scope: 'tag' }, 'tag'],
    ['a tag that no prediction has', { scope: 'tag', tag: { name: 'a b', value: '' } }, 'tag.name'],
    ['a tag for a budget of the account', { tag }, 'tag'],
    ['a key for a budget of a tag', { scope: 'tag', tag, key_id: 'key_1' }, 'key_id'],
  ])('%s', async (_, body, field) => {
    const refusal = refusalOf(await call('POST /v1/budgets', { body }))
    expect(refusal).toMatchObject({ status: 400, id: 'INVALID_PARAMETER' })
    expect(refusal.fields).toContain(field)
  })
})

test('a percentage is refused when the cap that it is of is taken away', async () => {
  const { body } = await call('POST /v1/budgets', { body: { hard_cap: 10, thresholds: [{ percent: 50 }] } })
  const refusal = refusalOf(await call(`PATCH /v1/budgets/${body.id}`, { body: { hard_cap: null } }))
  expect(refusal).toMatchObject({ status: 400, id: 'INVALID_PARAMETER' })
})

test("another account's key is none", async () => {
  const other = await givenAccount(service)
  const key_id = toTypeId('key', (await givenKey(service, other.accountId)).id)
  for (const one of [key_id, 'key_nonsense']) {
    const refusal = refusalOf(await call('POST /v1/budgets', { body: { scope: 'key', key_id: one } }))
    expect(refusal).toMatchObject({ status: 404, id: 'KEY_NOT_FOUND' })
  }
})

test('of a period that is over nothing is shown', async () => {
  const { body } = await call('POST /v1/budgets', { body: { hard_cap: 10, period: 'week' } })
  const set = (start: string) =>
    service.db.pool.query(
      `update budgets set spent = 4000000, held = 1000000, period_start = ${start} where id = $1`,
      [fromTypeId('budget', body.id)],
    )
  await set('period_start')
  expect((await call(`GET /v1/budgets/${body.id}`)).body).toMatchObject({ spent: 4, held: 1, remaining: 5 })
  await set(`period_start - interval '7 days'`)
  expect((await call(`GET /v1/budgets/${body.id}`)).body).toMatchObject({
    spent: 0,
    held: 0,
    remaining: 10,
    period_start: body.period_start,
  })
})
