import fc from 'fast-check'

/** Of many optional fields few are there, so that all of them are valid now and then. */
const sometimes = (one: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 2, arbitrary: fc.constant(absent) }, { weight: 1, arbitrary: one })

const withoutAbsent = (fields: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== absent))

const absent = Symbol('absent')

/** A value that fits a schema, as far as the document uses schemas. */
export function fitting(document: ApiDocument, schema: Schema): fc.Arbitrary<unknown> {
  if (schema.$ref)
    return fitting(document, document.components.schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {})
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.enum) return fc.constantFrom(...schema.enum)
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map((one) => fitting(document, one)))
  switch (schema.type) {
    case 'object': {
      const properties = Object.entries(schema.properties ?? {}).map(
        ([name, one]) => [name, fitting(document, one)] as const,
      )
      if (properties.length > 0) {
        const required = schema.required ?? []
        const fields = properties.map(([name, one]) => [name, required.includes(name) ? one : sometimes(one)])
        return fc.record<Record<string, unknown>>(Object.fromEntries(fields)).map(withoutAbsent)
      }
      const value = schema.additionalProperties
        ? fitting(document, schema.additionalProperties)
        : fc.jsonValue({ maxDepth: 2 })
      return fc.dictionary(fc.stringMatching(/^[a-z_.-]{1,10}$/), value, { maxKeys: 4 })
    }
    case 'array':
      return fc.array(fitting(document, schema.items ?? {}), {
        minLength: schema.minItems ?? 0,
        maxLength: 3,
      })
    case 'string':
      if (schema.format === 'date-time')
        return fc
          .date({ min: new Date(0), max: new Date('2026-01-01'), noInvalidDate: true })
          .map((date) => date.toISOString())
      return fc.oneof(
        fc.constantFrom('http://127.0.0.1:9/x', 'completed', '*', 'prediction.failed', ''),
        fc.string({ maxLength: 20 }),
      )
    case 'integer':
    case 'number':
      return fc.integer({ min: Math.ceil(schema.minimum ?? 0), max: Math.min(schema.maximum ?? 1000, 1000) })
    case 'boolean':
      return fc.boolean()
    default:
      return fc.jsonValue({ maxDepth: 2 })
  }
}

export interface ApiDocument {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}

export interface Operation {
  operationId: string
  description?: string
  'x-required-scope'?: string
  parameters?: Parameter[]
  requestBody?: { content: Record<string, { schema: Schema }> }
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>
}

export interface Parameter {
  name: string
  in: string
  description?: string
}

export interface Schema {
  $ref?: string
  type?: string
  format?: string
  const?: unknown
  enum?: unknown[]
  anyOf?: Schema[]
  properties?: Record<string, Schema>
  additionalProperties?: Schema
  required?: string[]
  items?: Schema
  minItems?: number
  minimum?: number
  maximum?: number
}
