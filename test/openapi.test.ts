import { createApp } from '@millrace/api/app'
import type { Context } from '@millrace/api/context'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { callerOf } from './api-caller.ts'
import { startApiHere } from './api-here.ts'
import { type Service, startService } from './harness/service.ts'

let service: Service
let context: Context
let document: OpenApi
let url: string
let close: () => Promise<void>
beforeAll(async () => {
  service = await startService({ queue: 'redis', apis: 0, workers: 0, dispatchers: 0 })
  ;({ context, url, close } = await startApiHere(service))
  document = (await callerOf(url)('GET /openapi.json')).body
})
afterAll(async () => {
  await close()
  await service.stop()
})

test('every route that is mounted is in the document, and the other way round', () => {
  expect(mountedIn(createApp(context))).toEqual(
    operations()
      .map(({ method, path }) => `${method} ${path}`)
      .sort(),
  )
})

test('a dialect that is off is neither mounted nor documented', async () => {
  const off = { ...context, config: { ...context.config, DIALECTS: [] } }
  expect(mountedIn(createApp(off))).not.toContain('post /v1/predict')
  expect(mountedIn(createApp(context))).toContain('post /v1/predict')
})

describe('the document', () => {
  test('is OpenAPI 3.1 with its own address', () => {
    expect(document).toMatchObject({
      openapi: expect.stringMatching(/^3\.1\.\d$/),
      info: {
        title: 'Millrace',
        version: context.config.version,
        license: { identifier: expect.any(String) },
      },
      servers: [{ url: service.environment.PUBLIC_URL }],
    })
  })

  test('every reference leads somewhere', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(
      ([, target = '']) => target,
    )
    expect(references.length).toBeGreaterThan(20)
    for (const target of references) expect([target, resolved(target)]).toEqual([target, expect.anything()])
  })

  test('every schema compiles', () => {
    const ajv = new Ajv2020({ strict: false, formats: { 'date-time': true, binary: true } })
    ajv.addSchema(document, 'openapi.json')
    for (const name of Object.keys(document.components.schemas))
      expect(() => ajv.compile({ $ref: `openapi.json#/components/schemas/${name}` })).not.toThrow()
  })

  test('every operation, parameter and tag is described', () => {
    for (const { path, operation } of operations()) {
      expect([path, operation.description]).toEqual([path, expect.stringMatching(/\w{2}.*\.$/)])
      for (const { name, description } of operation.parameters ?? [])
        expect([path, name, description]).toEqual([path, name, expect.stringMatching(/\S{4}/)])
    }
    const named = new Set(operations().flatMap(({ operation }) => operation.tags))
    expect(new Set(document.tags.map(({ name }) => name))).toEqual(named)
    for (const { description } of document.tags) expect(description).toMatch(/\w{2}/)
  })

  test('every field of every request and every named answer is described', () => {
    const bodies = operations().flatMap(({ path, operation }) =>
      Object.values(operation.requestBody?.content ?? {}).map(({ schema }) => ({ at: path, schema })),
    )
    const named = Object.entries(document.components.schemas).map(([at, schema]) => ({ at, schema }))
    const fields = [...bodies, ...named].flatMap(({ at, schema }) => fieldsIn(schema, at))
    expect(fields.length).toBeGreaterThan(200)
    expect(fields.filter(({ schema }) => !descriptionOf(schema)).map(({ at }) => at)).toEqual([])
    for (const { schema } of named) expect(descriptionOf(schema)).toMatch(/\w{2}/)
  })

  test('a time has a format and no pattern, and no number the limits of a double', () => {
    const odd = partsOf(document).filter(
      ({ format, pattern, minimum, maximum }) =>
        (format === 'date-time' && pattern !== undefined) ||
        [minimum, maximum].some((limit) => Math.abs(Number(limit)) === Number.MAX_SAFE_INTEGER),
    )
    expect(odd).toEqual([])
    expect(partsOf(document).filter(({ format }) => format === 'date-time').length).toBeGreaterThan(10)
  })

  test('operation ids are unique', () => {
    const ids = operations().map(({ operation }) => operation.operationId)
    expect(ids).toEqual([...new Set(ids)])
  })

  test('every path parameter is declared, and no other', () => {
    for (const { path, operation } of operations()) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      const declared = (operation.parameters ?? []).filter((one) => one.in === 'path')
      expect([path, declared.map(({ name }) => name).sort()]).toEqual([path, inPath.sort()])
      for (const one of declared) expect(one).toMatchObject({ required: true, schema: expect.anything() })
    }
  })

  test('what needs a key says so and answers 401; errors have the envelope', () => {
    expect(document.components.securitySchemes).toMatchObject({
      apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
      bearer: { type: 'http', scheme: 'bearer' },
    })
    expect(document.security).toEqual([{ apiKey: [] }, { bearer: [] }])
    for (const { path, operation } of operations()) {
      const open = operation.security?.length === 0
      // Hosts have no key: their address is one. And how the service is, everybody may see.
      const isForAll = ['/v1/callbacks/{token}', '/v1/status'].includes(path)
      expect([path, open]).toEqual([path, !path.startsWith('/v1/') || isForAll])
      expect([path, '401' in operation.responses]).toEqual([path, !open])
      for (const [status, reply] of Object.entries(operation.responses)) {
        expect(reply.description).not.toBe('')
        const shape = path.startsWith('/v1/messages')
          ? 'MessagesError'
          : operation.tags[0] === 'Inference'
            ? 'InferenceError'
            : 'Error'
        if (Number(status) >= 400)
          expect(reply.content?.['application/json']?.schema).toEqual(
            /^\/v1\/models?(\/\{slug\})?$/.test(path)
              ? { anyOf: [refTo(shape), refTo('MessagesError')] }
              : refTo(shape),
          )
      }
    }
  })

  test('every operation documents its success, 500 and 503', () => {
    for (const { path, operation } of operations()) {
      const statuses = Object.keys(operation.responses)
      expect([path, statuses.some((status) => /^2|^302/.test(status))]).toEqual([path, true])
      expect([path, statuses]).toEqual([path, expect.arrayContaining(['500', '503'])])
    }
  })
})

const refTo = (name: string) => ({ $ref: `#/components/schemas/${name}` })

test('the reference page needs nothing from the network', async () => {
  const { status, headers, text } = await callerOf(url)('GET /docs')
  expect(status).toBe(200)
  expect(headers.get('content-type')).toContain('text/html')
  expect(text.includes("url: '/openapi.json'")).toBe(true)
  expect(/<(script|link|img)[^>]+(src|href)="https?:/.test(text)).toBe(false)
})

test('a comment keeps a quiet stream alive', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  try {
    const call = callerOf(url, service.apiKey)
    const { body } = await call('POST /v1/predictions', { body: { model: 'echo', input: {} } })
    const headers = { 'x-api-key': service.apiKey, accept: 'text/event-stream' }
    const stream = await fetch(`${url}/v1/predictions/${body.id}/stream`, { headers })
    const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader()
    expect((await reader?.read())?.value).toMatch(/^id: 1\nevent: status\ndata: \{.*\}\n\n$/)

    vi.advanceTimersByTime(15_000)

    expect((await reader?.read())?.value).toMatch(/^:.*\n\n$/)
    await reader?.cancel()
  } finally {
    vi.useRealTimers()
  }
})

/** The routes that Express has, read from its own router. */
function mountedIn({ router }: ReturnType<typeof createApp>): string[] {
  return router.stack
    .flatMap(({ route }) => (route ? [route] : []))
    .flatMap(({ path, stack }) => [
      ...new Set(stack.map(({ method }) => `${method} ${inBraces(String(path))}`)),
    ])
    .sort()
}

function inBraces(path: string): string {
  return path.replaceAll(/:(\w+)/g, '{$1}')
}

function operations(): { method: string; path: string; operation: Operation }[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, operation })),
  )
}

/** Every field that a schema states, however deep, but not those of what it refers to. */
function fieldsIn(schema: Schema, at: string): { at: string; schema: Schema }[] {
  const own = Object.entries(schema.properties ?? {}).flatMap(([name, field]) => [
    { at: `${at}.${name}`, schema: field },
    ...fieldsIn(field, `${at}.${name}`),
  ])
  const inside = [schema.items, schema.additionalProperties, ...(schema.anyOf ?? []), ...(schema.allOf ?? [])]
  return [...own, ...inside.flatMap((part) => (typeof part === 'object' ? fieldsIn(part, at) : []))]
}

function descriptionOf(schema: Schema): string | undefined {
  return schema.description ?? (schema.$ref && (resolved(schema.$ref) as Schema).description)
}

/** Every object of the document. */
function partsOf(value: unknown): Record<string, unknown>[] {
  if (typeof value !== 'object' || value === null) return []
  const parts = Object.values(value).flatMap(partsOf)
  return Array.isArray(value) ? parts : [value as Record<string, unknown>, ...parts]
}

function resolved(reference: string): unknown {
  return reference
    .replace('#/', '')
    .split('/')
    .reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], document)
}

interface OpenApi {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema>; securitySchemes: unknown }
  tags: { name: string; description: string }[]
  security: unknown
}

interface Operation {
  operationId: string
  description: string
  tags: string[]
  parameters?: { name: string; in: string; description?: string }[]
  requestBody?: { content: Record<string, { schema: Schema }> }
  security?: unknown[]
  responses: Record<string, { description: string; content?: Record<string, { schema: unknown }> }>
}

interface Schema {
  $ref?: string
  description?: string
  properties?: Record<string, Schema>
  items?: Schema
  additionalProperties?: Schema | boolean
  anyOf?: Schema[]
  allOf?: Schema[]
}
