import type { EndpointDefinition } from '@millrace/contract/endpoint'
import { endpoints } from '@millrace/contract/endpoints'
import { type Scope, scopes, usualScopes } from '@millrace/contract/scopes'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callerOf } from './api-caller.ts'
import { type DocumentedOperation, documentedOperations } from './documented-requests.ts'
import { givenKeyWith } from './given-accounts.ts'
import { type Service, startService } from './harness/service.ts'

const operations = documentedOperations()
const keyed = operations.filter(({ open }) => !open)

let service: Service
let scopesAtFirst: Map<string, string[]>
beforeAll(async () => {
  service = await startService({
    queue: 'redis',
    workers: 0,
    dispatchers: 0,
    env: { AWAIT_SECONDS: '0', MEDIA_AWAIT_SECONDS: '1', BATCH_SLOTS: '0' },
  })
  const { body } = await callerOf(service.url, service.apiKey)('GET /v1/keys')
  scopesAtFirst = new Map(body.data.map((one: { name: string; scopes: string[] }) => [one.name, one.scopes]))
})
afterAll(() => service.stop())

test.each(Object.entries<EndpointDefinition>(endpoints))(
  '%s needs no key or a scope',
  (_, { open, scope }) => {
    expect(open === true).toBe(scope === undefined)
  },
)

test('the document tells the scope of every operation that needs a key, and of no other', () => {
  for (const { name, open, scope, description } of operations) {
    expect([name, scope === undefined]).toEqual([name, open])
    if (scope === undefined) continue
    expect(scopes).toContain(scope)
    expect(description).toContain(`\`${scope}\``)
  }
  expect(new Set(keyed.map(({ scope }) => scope))).toEqual(
    new Set([...new Set(scopes)].filter((scope) => keyed.some((one) => one.scope === scope))),
  )
})

describe.each(keyed.map((one) => ({ ...one, scope: one.scope ?? '' })))('$name', (operation) => {
  test('is let past with its scope alone, and refused with all scopes but it', async () => {
    const [alone, without] = await Promise.all([
      givenKeyWith(service, { scopes: [operation.scope as Scope] }),
      givenKeyWith(service, { scopes: scopes.filter((one) => one !== operation.scope) }),
    ])
    const refused = await ask(operation, without)
    expect(refused.status).toBe(403)
    expect(refused.text).toContain(`The key needs the scope \`${operation.scope}\` for this.`)
    const words = operation.name.includes('/v1/messages') ? '"permission_error"' : '"SCOPE_REQUIRED"'
    expect(refused.text).toContain(words)

    const past = await ask(operation, alone)
    expect(past.status, past.text).not.toBe(403)
    expect(past.status, past.text).not.toBe(401)
  })
})

test('a key without `admin` opens no admin route, and the admin key of the first account opens all', async () => {
  const admin = keyed.filter(({ name }) => name.includes('/v1/admin/'))
  expect(admin.length).toBeGreaterThan(5)
  for (const operation of admin) {
    expect([operation.name, (await ask(operation, service.apiKey)).status]).toEqual([operation.name, 403])
    expect((await ask(operation, service.adminKey)).status).not.toBe(403)
  }
})

test('an ordinary key has all scopes but those that make keys and administer', async () => {
  expect(scopesAtFirst.get('default')).toEqual([...usualScopes])
  expect(scopesAtFirst.get('admin')).toEqual([...scopes])
})

test('an admin key that a process of the version before made has the scope', async () => {
  const key = await givenKeyWith(service, {})
  await service.db.pool.query(`update api_keys set admin = true where id = $1`, [await idOf(key)])
  expect((await callerOf(service.url, key)('GET /v1/admin/plans')).status).toBe(200)
})

async function idOf(key: string): Promise<string> {
  const { rows } = await service.db.pool.query('select id from api_keys where prefix = $1 order by id desc', [
    key.slice(0, 11),
  ])
  return rows[0].id
}

/** Of nothing that is there: a request that is let past does no more than it must. */
async function ask(operation: DocumentedOperation, key: string): Promise<{ status: number; text: string }> {
  const body = bodies[operation.name]
  const response = await fetch(`${service.url}${operation.pathWith('nothing')}`, {
    ...operation.request,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    method: operation.method,
    headers: { ...operation.request.headers, 'x-api-key': key },
  })
  return { status: response.status, text: await response.text() }
}

/** Where the example of the document would do more than be let past: a key gives only scopes that it has. */
const bodies: Readonly<Record<string, object>> = {
  'POST /v1/keys': { name: 'by a key that has nothing else', scopes: ['keys:write'] },
  'POST /v1/admin/accounts': { name: '' },
}
