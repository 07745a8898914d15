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
      // Hosts have no key: their address is one.
      expect([path, open]).toEqual([path, !path.startsWith('/v1/') || path === '/v1/callbacks/{token}'])
      expect([path, '401' in operation.responses]).toEqual([path, !open])
      for (const [status, reply] of Object.entries(operation.responses)) {
        expect(reply.description).not.toBe('')
        const shape = operation.tags[0] === 'Inference' ? 'InferenceError' : 'Error'
        if (Number(status) >= 400)
          expect(reply.content?.['application/json']?.schema).toEqual({
            $ref: `#/components/schemas/${shape}`,
          })
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

function resolved(reference: string): unknown {
  return reference
    .replace('#/', '')
    .split('/')
    .reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], document)
}

interface OpenApi {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, unknown>; securitySchemes: unknown }
  security: unknown
}

interface Operation {
  operationId: string
  tags: string[]
  parameters?: { name: string; in: string }[]
  security?: unknown[]
  responses: Record<string, { description: string; content?: Record<string, { schema: unknown }> }>
}
