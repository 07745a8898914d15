import fc from 'fast-check'
import type { ApiDocument, Operation, Parameter, Schema } from './fitting-values.ts'
import { fitting } from './fitting-values.ts'

/** Requests made from the OpenAPI document: valid ones and ones with something wrong, or odd, about them. */
export function requestsOf(document: ApiDocument, known: KnownIds): fc.Arbitrary<GeneratedRequest> {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      arbitrary: requestOf(document, known, path, method, operation),
      // Of what has many fields few are all valid.
      weight: method === 'post' ? 2 : 1,
    })),
  )
  return fc.oneof(...operations)
}

function requestOf(
  document: ApiDocument,
  known: KnownIds,
  path: string,
  method: string,
  operation: Operation,
): fc.Arbitrary<GeneratedRequest> {
  const parameters = operation.parameters ?? []
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
  const content = operation.requestBody?.content ?? {}
  const schema = content['application/json']?.schema
  return fc
    .record({
      names: fc.tuple(...names.map((name) => pathValue(known, describedAs(parameters, name)))),
      query: fc.array(queryPair(parameters), { maxLength: 4 }),
      headers: fc.dictionary(headerName(parameters), headerValue, { maxKeys: 3 }),
      key: fc.oneof(
        { weight: 12, arbitrary: fc.constant('good' as const) },
        { weight: 1, arbitrary: fc.constantFrom('none' as const, 'bad' as const) },
      ),
      type: fc.oneof(
        { weight: 6, arbitrary: fc.constant(Object.keys(content)[0]) },
        {
          weight: 1,
          arbitrary: fc.constantFrom(
            'text/plain',
            'multipart/form-data',
            'multipart/form-data; boundary=x',
            '',
            'é',
          ),
        },
      ),
      body: schema ? jsonBody(document, known, path, schema) : operation.requestBody ? rawBody : noBody,
    })
    .map(({ names: values, query, headers, key, type, body }) => ({
      operation,
      method: method.toUpperCase(),
      path: `${names.reduce((at, name, n) => at.replace(`{${name}}`, () => values[n] ?? ''), path)}${query.length > 0 ? `?${query.join('&')}` : ''}`,
      headers: { ...headers, ...(type ? { 'content-type': type } : {}) },
      key,
      body,
    }))
}

function describedAs(parameters: Parameter[], name: string): string {
  return parameters.find((one) => one.in === 'path' && one.name === name)?.description ?? ''
}

/** Mostly an id of the kind that the document asks for there. */
function pathValue({ ids }: KnownIds, description: string): fc.Arbitrary<string> {
  const fit = ids.filter((id) => description.startsWith(`${id.split('_')[0]}_`))
  return fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...(fit.length > 0 ? fit : ids)) },
    { weight: 2, arbitrary: fc.constantFrom(...ids) },
    {
      weight: 1,
      arbitrary: oddText
        .filter((text) => !/^\.{0,2}$/.test(text))
        .map((text) => encodeURIComponent(text.toWellFormed())),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '%',
        '%zz',
        '%00',
        '%ED%A0%80',
        'a%2Fb',
        '..%2f..',
        'pred_',
        '%20',
        'x'.repeat(3000),
      ),
    },
  )
}

function queryPair(parameters: Parameter[]): fc.Arbitrary<string> {
  const names = parameters.filter((one) => one.in === 'query').map(({ name }) => name)
  const name = fc.constantFrom(...names, ...names, 'tag.a', 'tag.', 'odd', '__proto__', 'constructor')
  const value = fc.oneof(
    fc.constantFrom(
      '1',
      '0',
      '-1',
      '50',
      '51',
      '1e400',
      '9007199254740993',
      'NaN',
      '',
      'succeeded',
      'pending',
      'queued',
      'echo',
    ),
    fc.constantFrom(
      '2026-01-01',
      '2026-02-31',
      '0000-00-00',
      '9999-12-31T23:59:60Z',
      'input_schema',
      '%',
      '%00',
      '%ff',
      '+',
    ),
    oddText.map((text) => encodeURIComponent(text.toWellFormed())),
  )
  // A request that waits costs the test its time.
  return fc
    .tuple(name, value)
    .map(([one, given]) =>
      one === 'wait' ? `wait=${given === '1' || given === '50' ? '0' : given}` : `${one}=${given}`,
    )
}

function headerName(parameters: Parameter[]): fc.Arbitrary<string> {
  const names = parameters.filter((one) => one.in === 'header').map(({ name }) => name.toLowerCase())
  return fc.constantFrom(
    ...names.filter((name) => name !== 'prefer'),
    'x-request-id',
    'user-agent',
    'anthropic-version',
    'x-odd',
    'origin',
    'accept',
  )
}

const headerValue = fc.oneof(
  fc.constantFrom('', '1', 'bytes=0-1', 'bytes=9-1', '*', '"x"', 'x'.repeat(8000), 'é', 'a, b', 'wait=0'),
  fc.string({ maxLength: 20 }).map((text) => text.replaceAll(/[^\x20-\x7e]/g, '').trim()),
)

const oddText = fc.oneof(
  fc.string({ maxLength: 30 }),
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.constantFrom(
    '\0',
    '\ud800',
    '\udfff\ud800',
    '😀',
    "'; drop table predictions; --",
    '../../etc/passwd',
    '__proto__',
    '{}',
  ),
)

const oddValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(null, true, false, 0, -1, 1.5, 1e308, -0, 2 ** 53, '', [], {}),
  oddText,
  fc.jsonValue({ maxDepth: 3 }),
)

function jsonBody(
  document: ApiDocument,
  known: KnownIds,
  path: string,
  schema: Schema,
): fc.Arbitrary<string | undefined> {
  const valid = fitting(document, schema)
  const mutated = fc
    .tuple(valid, fc.array(fc.tuple(fc.nat(), oddValue, fc.boolean()), { minLength: 1, maxLength: 3 }))
    .map(([value, changes]) => changes.reduce<unknown>(changed, value))
  const values = fc.oneof(
    { weight: 8, arbitrary: valid },
    { weight: 4, arbitrary: mutated },
    { weight: 1, arbitrary: oddValue },
  )
  const withModels = fc
    .tuple(values, fc.constantFrom(...(known.modelsAt[path] ?? known.models)))
    .map(([value, model]) => withModel(value, model, path in known.modelsAt ? {} : { await: false }))
  return fc.oneof(
    { weight: 12, arbitrary: withModels.map((value) => JSON.stringify(value)) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        undefined,
        '',
        '{',
        '[]',
        'null',
        '\uFEFF{}',
        '{"model":"echo","input":{"a":1e999}}',
        `{"input":${'['.repeat(5000)}`,
        `{"model":"echo","input":{"a":${'['.repeat(80)}${']'.repeat(80)}}}`,
        '{"model":"echo","input":{"\\u0000":"\\ud800"}}',
        '{"__proto__":{"a":1},"model":"echo","input":{"__proto__":null}}',
      ),
    },
  )
}

const rawBody = fc.oneof(
  fc.constantFrom(
    undefined,
    '',
    '--x\r\n\r\n--x--',
    '--x\r\ncontent-disposition: form-data; name="file"; filename="a\0"\r\ncontent-type: é\r\n\r\nhi\r\n--x--\r\n',
  ),
  oddText,
)
const noBody = fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: oddText })

/** Gives most bodies a model that exists, and never one that would hold the answer back. */
function withModel(value: unknown, model: string, atOnce: object): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !('model' in value)) return value
  return {
    ...value,
    ...(value.model === '' ? {} : { model }),
    ...atOnce,
    ...('inputs' in value ? { async: true } : {}),
  }
}

/** Changes, adds or removes one field somewhere on the first two levels. */
function changed(value: unknown, [nth, odd, remove]: [number, unknown, boolean]): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return odd
  const names = [...Object.keys(value), 'surprise']
  const name = names[nth % names.length] ?? ''
  const inside = (value as Record<string, unknown>)[name]
  if (nth % 3 === 0 && typeof inside === 'object' && inside !== null) {
    return { ...value, [name]: changed(inside, [nth >> 2, odd, remove]) }
  }
  if (!remove) return { ...value, [name]: odd }
  return Object.fromEntries(Object.entries(value).filter(([one]) => one !== name))
}

export interface GeneratedRequest {
  operation: Operation
  method: string
  path: string
  headers: Record<string, string>
  key: 'good' | 'none' | 'bad'
  body: string | undefined
}

/** Ids, encoded for a path, and models that exist. */
export interface KnownIds {
  ids: string[]
  models: string[]
  /** Those of a path that serves others. */
  modelsAt: Readonly<Record<string, string[]>>
}
