import { dialects } from '@millrace/api/config'
import { openapiDocument } from '@millrace/contract/openapi'
import type { ApiDocument, Operation, Parameter, Schema } from './fitting-values.ts'

/**
 * Every operation of the OpenAPI document, in every dialect, with a request that it accepts. Throws for one that no
 * request can be made for: its document lacks an example, or does not say whose id stands in its path.
 */
export function documentedOperations(): DocumentedOperation[] {
  const options = { publicUrl: 'http://127.0.0.1:3000', version: '0.0.0', dialects }
  const { paths } = openapiDocument(options) as unknown as ApiDocument
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => read(method.toUpperCase(), path, operation)),
  )
}

function read(method: string, path: string, operation: DescribedOperation): DocumentedOperation {
  const parameters = operation.parameters ?? []
  const named = (place: string) => parameters.filter((one) => one.in === place).map(({ name }) => name)
  const name = `${method} ${path}`
  const inPath = parameters.filter((one) => one.in === 'path').map((one) => standIn(name, one))
  return {
    name,
    method,
    open: operation.security?.length === 0,
    scope: operation['x-required-scope'],
    description: operation.description ?? '',
    owned: inPath.find(({ kind }) => kind !== undefined)?.kind,
    query: named('query'),
    headers: named('header'),
    streams: operation.responses[200]?.content?.['text/event-stream'] !== undefined,
    replies: Object.keys(operation.responses).map(Number),
    request: bodyOf(name, operation),
    pathWith: (id) => inPath.reduce((at, { name, value }) => at.replace(`{${name}}`, value ?? id), path),
  }
}

/** What takes the place of a path parameter: the id of an owned thing, which its description names, or what is everybody's. */
function standIn(operation: string, { name, description }: DescribedParameter): StandIn {
  const kind = owned.find((one) => description?.startsWith(idsOf[one]))
  const value = shared[name]
  if (kind === undefined && value === undefined)
    throw new Error(`${operation}: the description of {${name}} must start with the prefix of its ids`)
  return { name, kind, value }
}

function bodyOf(name: string, { requestBody }: DescribedOperation): DocumentedOperation['request'] {
  if (requestBody === undefined) return {}
  const json = requestBody.content['application/json']
  if (json?.example !== undefined)
    return { headers: { 'content-type': 'application/json' }, body: JSON.stringify(json.example) }
  if (!('application/octet-stream' in requestBody.content))
    throw new Error(`${name}: its body has no example`)
  return { headers: { 'content-type': 'application/octet-stream' }, body: 'bytes' }
}

const owned = ['video', 'pred', 'file', 'whe', 'batch', 'resp', 'chatcmpl', 'budget', 'key', 'acct'] as const

/** How the description of an id begins that is of this kind. */
const idsOf: Readonly<Record<OwnedKind, string>> = {
  video: 'pred_… of a video',
  pred: 'pred_',
  file: 'file_',
  whe: 'whe_',
  batch: 'batch_',
  resp: 'resp_',
  chatcmpl: 'chatcmpl-',
  budget: 'budget_',
  key: 'key_',
  acct: 'acct_',
}

const shared: Readonly<Record<string, string>> = { slug: 'echo', name: 'a.txt', token: 'nobodys' }

export interface DocumentedOperation {
  /** As in `GET /v1/predictions/{id}`. */
  name: string
  method: string
  /** Needs no key. */
  open: boolean
  /** What a key must be allowed to do. */
  scope: string | undefined
  description: string
  /** Of what kind its `{id}` is; undefined when there is none. */
  owned: OwnedKind | undefined
  query: string[]
  headers: string[]
  streams: boolean
  replies: number[]
  request: { headers?: Record<string, string>; body?: string }
  pathWith(id: string): string
}

export type OwnedKind = (typeof owned)[number]

interface StandIn {
  name: string
  kind: OwnedKind | undefined
  value: string | undefined
}

type DescribedParameter = Parameter & { description?: string }

interface DescribedOperation extends Operation {
  security?: unknown[]
  parameters?: DescribedParameter[]
  requestBody?: { content: Record<string, { schema: Schema; example?: unknown }> }
}
