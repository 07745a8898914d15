import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { type Service, startService } from './harness/service.ts'

let service: Service
let call: ApiCaller
beforeAll(async () => {
  service = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  call = callerOf(service.url, service.apiKey)
})
afterAll(() => service.stop())

const url = 'http://127.0.0.1:9/hook'

describe.each(['/v1/webhooks', '/v1/webhook_endpoints'])('at %s', (path) => {
  test('an endpoint is created, shown, listed, changed and deleted', async () => {
    const { status, body } = await call(`POST ${path}`, { body: { url } })
    expect(status).toBe(201)
    expect(body).toEqual({
      id: expect.stringMatching(/^whe_[0-9a-z]{26}$/),
      url,
      events: ['*'],
      format: 'envelope',
      description: '',
      headers: {},
      active: true,
      disabled_reason: null,
      created_at: expect.stringMatching(/Z$/),
      updated_at: expect.stringMatching(/Z$/),
    })
    expect((await call(`GET ${path}/${body.id}`)).body).toEqual(body)
    expect((await call(`GET ${path}`)).body.data[0]).toEqual(body)

    const change = {
      events: ['prediction.failed'],
      format: 'thin',
      headers: { 'x-team': 'red' },
      active: false,
    }
    const changed = await call(`PATCH ${path}/${body.id}`, { body: change })
    expect(changed).toMatchObject({ status: 200, body: { ...change, id: body.id, url } })
    expect(changed.body.updated_at >= body.updated_at).toBe(true)

    expect((await call(`DELETE ${path}/${body.id}`)).body).toEqual({ id: body.id, deleted: true })
    expect(refusalOf(await call(`GET ${path}/${body.id}`))).toMatchObject({
      status: 404,
      id: 'WEBHOOK_NOT_FOUND',
    })
  })
})

test.each<[string, object, string, string]>([
  ['no URL', {}, 'INVALID_WEBHOOK_URL', 'url'],
  ['a private address', { url: 'http://192.168.1.1/' }, 'INVALID_WEBHOOK_URL', 'url'],
  ['a URL that is too long', { url: `${url}?${'x'.repeat(2048)}` }, 'INVALID_WEBHOOK_URL', 'url'],
  ['an unknown event', { url, events: ['prediction.done'] }, 'INVALID_PARAMETER', 'events'],
  ['no events', { url, events: [] }, 'INVALID_PARAMETER', 'events'],
  ['an unknown format', { url, format: 'xml' }, 'INVALID_PARAMETER', 'format'],
  ['a header with a line break', { url, headers: { a: 'b\r\nc: d' } }, 'INVALID_PARAMETER', 'headers.a'],
])('%s is refused by name', async (_, body, id, field) => {
  expect(refusalOf(await call('POST /v1/webhooks', { body }))).toEqual({ status: 400, id, fields: [field] })
})

test('a refused change changes nothing', async () => {
  const { body } = await call('POST /v1/webhooks', { body: { url } })
  expect((await call(`PATCH /v1/webhooks/${body.id}`, { body: { url: 'http://10.0.0.1/' } })).status).toBe(
    400,
  )
  expect((await call(`GET /v1/webhooks/${body.id}`)).body).toEqual(body)
})

test('who made, changed and deleted an endpoint is in the audit log, without what is secret of it', async () => {
  const admin = callerOf(service.url, service.adminKey)
  const secret = 'b2Zmd2l0aGl0cw'
  const { body } = await call('POST /v1/webhooks', {
    body: { url: `${url}/${secret}`, headers: { 'x-token': secret } },
  })
  await call(`PATCH /v1/webhooks/${body.id}`, { body: { events: ['prediction.failed'], active: false } })
  await call(`DELETE /v1/webhooks/${body.id}`)
  const { body: acts, text } = await admin(`GET /v1/admin/audit?target=${body.id}`)

  expect(acts.data).toMatchObject([
    { act: 'webhook.delete', by: { type: 'key' }, before: null, after: null },
    {
      act: 'webhook.change',
      before: { events: ['*'], active: true },
      after: { events: ['prediction.failed'], active: false },
    },
    { act: 'webhook.create', after: { origin: 'http://127.0.0.1:9', events: ['*'], headers: ['x-token'] } },
  ])
  expect(text).not.toContain(secret)
})

test('switching an endpoint on again forgets why it was off', async () => {
  const { body } = await call('POST /v1/webhooks', { body: { url } })
  await service.db.pool.query(
    `update webhook_endpoints set active = false, disabled_reason = 'gone', failing_since = clock_timestamp()`,
  )
  expect((await call(`PATCH /v1/webhooks/${body.id}`, { body: { active: true } })).body).toMatchObject({
    active: true,
    disabled_reason: null,
  })
})

describe('secrets', () => {
  test('each endpoint has its own, and default is that of per-request webhooks', async () => {
    const { body } = await call('POST /v1/webhooks', { body: { url } })
    const own = (await call(`GET /v1/webhooks/${body.id}/secret`)).body
    const fallback = (await call('GET /v1/webhooks/default/secret')).body

    expect(own).toEqual({ id: body.id, secret: expect.stringMatching(/^whsec_/), previous_expires_at: null })
    expect(fallback).toMatchObject({ id: 'default', secret: expect.stringMatching(/^whsec_/) })
    expect(own.secret).not.toBe(fallback.secret)
  })

  test.each(['default', 'own'])(
    'rotating the %s one gives a new secret and keeps the old one for a day',
    async (which) => {
      const id = which === 'own' ? (await call('POST /v1/webhooks', { body: { url } })).body.id : which
      const before = (await call(`GET /v1/webhooks/${id}/secret`)).body
      const { status, body } = await call(`POST /v1/webhooks/${id}/secret/rotate`)

      expect(status).toBe(200)
      expect(body.secret).not.toBe(before.secret)
      expect(Date.parse(body.previous_expires_at) - Date.now()).toBeGreaterThan(23 * 3_600_000)
      expect((await call(`GET /v1/webhooks/${id}/secret`)).body).toEqual(body)
    },
  )

  test('rotating it many times at once works each time', async () => {
    const { body } = await call('POST /v1/webhooks', { body: { url } })
    const rotations = await Promise.all(
      Array.from({ length: 5 }, () => call(`POST /v1/webhooks/${body.id}/secret/rotate`)),
    )
    expect(rotations.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    const now = (await call(`GET /v1/webhooks/${body.id}/secret`)).body.secret
    expect(rotations.map((reply) => reply.body.secret)).toContain(now)
  })

  test('rotating one while it is deleted is a rotation or a 404, never a fault', async () => {
    for (let round = 0; round < 10; round++) {
      const { body } = await call('POST /v1/webhooks', { body: { url } })
      const [deletion, ...rotations] = await Promise.all([
        call(`DELETE /v1/webhooks/${body.id}`),
        ...Array.from({ length: 4 }, () => call(`POST /v1/webhooks/${body.id}/secret/rotate`)),
      ])
      expect(deletion.status).toBe(200)
      for (const { status } of rotations) expect([200, 404]).toContain(status)
    }
  })
})
