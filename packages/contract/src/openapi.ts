import { z } from 'zod'
import type { EndpointDefinition, Reply } from './endpoint.ts'
import { endpoints } from './endpoints.ts'
import { type ErrorId, errorBody, errors } from './errors.ts'
import { inferenceErrorBody } from './inference-errors.ts'
import { messagesErrorBody } from './messages.ts'
import { requestHeaders } from './request-headers.ts'
import { tags } from './tags.ts'

/** The OpenAPI 3.1 document of the whole API, generated from `endpoints`; `dialects` tells which spellings are on. */
export function openapiDocument({ publicUrl, version, dialects }: DocumentOptions): Record<string, unknown> {
  const schemas: Record<string, unknown> = {}
  const paths: Paths = {}
  for (const [name, endpoint] of Object.entries<EndpointDefinition>(endpoints)) {
    const operation = operationOf(name, endpoint, schemas)
    put(paths, endpoint.path, endpoint.method, operation)
    for (const alias of endpoint.aliases ?? []) {
      if (alias.dialect !== undefined && !dialects.includes(alias.dialect)) continue
      put(paths, alias.path, alias.method, {
        ...operation,
        operationId: `${name}At${alias.path.replaceAll(/[^a-z]+/gi, '_')}`,
        tags: ['compatibility'],
        summary: `${endpoint.summary} (as ${endpoint.method.toUpperCase()} ${endpoint.path})`,
      })
    }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Millrace',
      version,
      description: 'Any model as a durable, asynchronous API.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: publicUrl }],
    security: [{ apiKey: [] }, { bearer: [] }],
    tags: Object.entries(tags).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas,
      securitySchemes: {
        apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
        bearer: { type: 'http', scheme: 'bearer' },
      },
    },
  }
}

function put(paths: Paths, path: string, method: string, operation: object): void {
  paths[path] = { ...paths[path], [method]: operation }
}

function operationOf(name: string, endpoint: EndpointDefinition, schemas: Schemas): Record<string, unknown> {
  const parameters = [
    ...parametersOf(endpoint.params, 'path', schemas),
    ...parametersOf(endpoint.query, 'query', schemas),
    ...(endpoint.headers ?? []).map((header) => ({
      name: header,
      in: 'header',
      required: false,
      description: requestHeaders[header],
      schema: { type: 'string' },
    })),
  ]
  return {
    operationId: name,
    tags: [endpoint.tag],
    summary: endpoint.summary,
    description: endpoint.scope
      ? `${endpoint.description} The key needs the scope \`${endpoint.scope}\`.`
      : endpoint.description,
    ...(endpoint.open ? { security: [] } : {}),
    ...(endpoint.scope ? { 'x-required-scope': endpoint.scope } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...requestBodyOf(endpoint, schemas),
    responses: { ...repliesOf(endpoint, schemas), ...errorsOf(endpoint, schemas) },
  }
}

function parametersOf(object: z.ZodObject | undefined, place: 'path' | 'query', schemas: Schemas): object[] {
  return Object.entries(object?.shape ?? {}).map(([name, type]) => {
    const { description, ...schema } = schemaOf(type as z.ZodType, schemas, 'input')
    return { name, in: place, required: place === 'path', ...(description ? { description } : {}), schema }
  })
}

function requestBodyOf(endpoint: EndpointDefinition, schemas: Schemas): object {
  if (endpoint.upload) {
    const multipart = {
      type: 'object',
      required: ['file'],
      properties: {
        file: { type: 'string', format: 'binary', description: 'The bytes, with their name and type' },
        purpose: { type: 'string', description: 'What it is for; sent before the file' },
      },
    }
    return {
      requestBody: {
        required: true,
        content: {
          'multipart/form-data': { schema: multipart },
          'application/octet-stream': { schema: { type: 'string', format: 'binary' } },
        },
      },
    }
  }
  if (endpoint.anyBody) {
    const { example } = endpoint
    return { requestBody: { content: { 'application/json': { schema: {}, ...(example && { example }) } } } }
  }
  if (!endpoint.body) return {}
  const schema = schemaOf(endpoint.body, schemas, 'input')
  return {
    requestBody: {
      required: true,
      content: {
        'application/json': { schema, ...(endpoint.example ? { example: endpoint.example } : {}) },
        ...formOf(endpoint, schema),
      },
    },
  }
}

/** The same fields as a form, with the bytes of a file where JSON has its address. */
function formOf({ formFile }: EndpointDefinition, schema: object): object {
  if (formFile === undefined) return {}
  const file = { type: 'string', format: 'binary', description: 'The bytes, with their name and type' }
  const part = { type: 'object', properties: { [formFile]: file } }
  return { 'multipart/form-data': { schema: { anyOf: [schema, part] } } }
}

function repliesOf(endpoint: EndpointDefinition, schemas: Schemas): object {
  return Object.fromEntries(
    Object.entries(endpoint.replies).map(([status, reply]) => {
      const content = contentOf(reply, schemas)
      return [status, { description: reply.description, ...(content ? { content } : {}) }]
    }),
  )
}

function contentOf(reply: Reply, schemas: Schemas): object | undefined {
  if (reply.binary) return { '*/*': { schema: { type: 'string', format: 'binary' } } }
  if (reply.markdown) return { [reply.markdown]: { schema: { type: 'string' } } }
  if (reply.html) return { 'text/html': { schema: { type: 'string' } } }
  if (!reply.schema) return undefined
  if (reply.ndjson) return { 'application/x-ndjson': { schema: schemaOf(reply.schema, schemas, 'output') } }
  return {
    'application/json': { schema: schemaOf(reply.schema, schemas, 'output') },
    ...(reply.text ? { 'text/plain': { schema: { type: 'string' } } } : {}),
    ...(reply.stream ? { 'text/event-stream': { schema: { type: 'string' } } } : {}),
  }
}

/** What any key may be answered. */
const keyErrors = ['UNAUTHORIZED', 'ACCOUNT_SUSPENDED', 'SECURITY_VIOLATION', 'SCOPE_REQUIRED'] as const

/** What any request may be answered, beside its own errors. */
function commonErrors(endpoint: EndpointDefinition): ErrorId[] {
  const reading: ErrorId[] =
    endpoint.body || endpoint.upload ? ['INVALID_REQUEST', 'PAYLOAD_TOO_LARGE'] : ['INVALID_REQUEST']
  return [
    ...(endpoint.open ? [] : keyErrors),
    ...reading,
    'REQUEST_TIMEOUT',
    'INTERNAL_ERROR',
    'SERVICE_UNAVAILABLE',
  ]
}

function errorsOf(endpoint: EndpointDefinition, schemas: Schemas): object {
  const ids = [...new Set([...endpoint.errors, ...commonErrors(endpoint)])]
  const byStatus = Map.groupBy(ids, (id) => errors[id].status)
  const usual = envelopes[endpoint.envelope ?? 'rest']
  const body = endpoint.anthropicToo ? z.union([usual, messagesErrorBody]) : usual
  return Object.fromEntries(
    [...byStatus].map(([status, group]) => [
      status,
      {
        description: group.map((id) => `\`${id}\`: ${errors[id].message}`).join(' '),
        content: { 'application/json': { schema: schemaOf(body, schemas, 'output') } },
      },
    ]),
  )
}

const envelopes = { rest: errorBody, inference: inferenceErrorBody, anthropic: messagesErrorBody }

/** A zod type as JSON Schema; types with an id become a component and a reference to it. */
function schemaOf(type: z.ZodType, schemas: Schemas, io: 'input' | 'output'): Record<string, unknown> {
  const {
    $schema: _,
    $defs,
    ...schema
  } = z.toJSONSchema(type, { io, unrepresentable: 'any', override: plain }) as Record<string, unknown>
  for (const [name, definition] of Object.entries(($defs ?? {}) as Record<string, object>))
    schemas[name] = relinked(definition)
  const id = type.meta()?.id
  const own = relinked(schema) as Record<string, unknown>
  if (id === undefined) return own
  // A type that its own parts refer to is among the definitions already, and is only a reference itself.
  if (own.$ref === undefined) schemas[id] = own
  return { $ref: `#/components/schemas/${id}` }
}

/** For readers: without the pattern of a time, which `format` says better, and without the limits of a double. */
function plain({ jsonSchema }: { jsonSchema: z.core.JSONSchema.BaseSchema }): void {
  if (jsonSchema.format === 'date-time') delete jsonSchema.pattern
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
}

function relinked(schema: object): object {
  const text = JSON.stringify(schema, (key, value) =>
    key === 'id' && typeof value === 'string' ? undefined : value,
  )
  return JSON.parse(text.replaceAll('#/$defs/', '#/components/schemas/')) as object
}

type Schemas = Record<string, unknown>
type Paths = Record<string, Record<string, unknown>>

interface DocumentOptions {
  publicUrl: string
  version: string
  dialects: readonly string[]
}
