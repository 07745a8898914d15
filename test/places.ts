import type { ApiDocument, Operation, Schema } from './fitting-values.ts'

/** Every place of the document where a caller's text can stand: path, query, headers, and the fields of bodies. */
export function placesOf(document: ApiDocument): Place[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, operation]) => {
      const parameters = (operation.parameters ?? []).map(({ in: where, name }) => [where, name])
      return [...parameters, ...fieldsOf(document, operation).map((name) => ['body', name])].map(
        ([where = '', name = '']) => ({
          // An alias is the same operation at another path.
          place: `${operation.operationId.replace(/At_.*/, '')} ${where} ${name}`,
          request: `${method.toUpperCase()} ${path}`,
          where,
          name,
        }),
      )
    }),
  )
}

/** Puts a text at a place of a valid request. */
export function placed({ request, where, name }: Place, valid: ValidRequest, text: string): PlacedRequest {
  const encoded = encodeURIComponent(text)
  const path = Object.entries({ ...valid.params, ...(where === 'path' ? { [name]: encoded } : {}) }).reduce(
    (at, [param, value]) => at.replace(`{${param}}`, () => value),
    request,
  )
  const query = Object.entries({ ...valid.query, ...(where === 'query' ? { [name]: encoded } : {}) })
  return {
    request: query.length > 0 ? `${path}?${query.map((pair) => pair.join('=')).join('&')}` : path,
    headers: { ...valid.headers, ...(where === 'header' ? { [name]: text } : {}) },
    body: where === 'body' ? withField(valid.body ?? {}, name.split('.'), text) : valid.body,
  }
}

/** `NAME` is the name of a field that the caller chooses, `*` the value of one, and `[]` an item of a list. */
function withField(value: unknown, [first = '', ...rest]: string[], text: string): unknown {
  const inside = (within: unknown) => (rest.length === 0 ? text : withField(within, rest, text))
  if (first === '[]') return [inside(Array.isArray(value) ? value[0] : undefined)]
  const fields: Record<string, unknown> = typeof value === 'object' && value !== null ? { ...value } : {}
  if (first === 'NAME') return { ...fields, [text]: 'value' }
  return { ...fields, [first === '*' ? 'name' : first]: inside(fields[first]) }
}

function fieldsOf(document: ApiDocument, { requestBody }: Operation): string[] {
  const schemas = Object.values(requestBody?.content ?? {}).map(({ schema }) => schema)
  return schemas.flatMap((schema) => pathsIn(document, schema)).filter((path) => path !== '')
}

/** The dotted paths of everything in a schema that is no object itself. */
function pathsIn(document: ApiDocument, schema: Schema): string[] {
  if (schema.$ref)
    return pathsIn(document, document.components.schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {})
  if (schema.anyOf) {
    const texts = schema.anyOf.filter(({ type }) => type !== 'null')
    return [...new Set(texts.flatMap((one) => pathsIn(document, one)))]
  }
  if (schema.type === 'array') return below('[]', pathsIn(document, schema.items ?? {}))
  if (schema.type !== 'object') return ['']
  const known = Object.entries(schema.properties ?? {}).flatMap(([name, one]) =>
    below(name, pathsIn(document, one)),
  )
  return schema.additionalProperties
    ? [...known, 'NAME', ...below('*', pathsIn(document, schema.additionalProperties))]
    : known
}

function below(name: string, paths: string[]): string[] {
  return paths.map((path) => (path === '' ? name : `${name}.${path}`))
}

export interface Place {
  /** `createPrediction body webhook.url`: the operation, where in it, and the name there. */
  place: string
  /** Method and path, with the path's parameters in braces. */
  request: string
  where: string
  name: string
}

export interface ValidRequest {
  params?: Record<string, string>
  query?: Record<string, string>
  headers?: Record<string, string>
  body?: unknown
}

export interface PlacedRequest {
  request: string
  headers: Record<string, string>
  body: unknown
}
