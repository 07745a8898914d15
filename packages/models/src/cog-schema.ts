import type { JsonSchema } from './schema.ts'

/**
 * The schemas of a Cog container's model, from its OpenAPI document, with every reference replaced by what it refers to.
 * Undefined where the document tells none. Throws where that would make too much of it: a few references to references
 * stand for more than any memory holds.
 */
export function cogSchema(document: unknown): CogSchema | undefined {
  let left = mostParts
  const schemas = at(at(document, 'components'), 'schemas')
  const input = at(schemas, 'Input')
  if (!isRecord(input)) return undefined
  const whole = (schema: unknown) => inlined(schema, { document, within: [], spend })
  const output = at(schemas, 'Output')
  function spend(): void {
    left -= 1
    if (left < 0) throw new Error(`its openapi.json stands for more than ${mostParts} values`)
  }
  return {
    input: { ...(whole(input) as JsonSchema), type: 'object' },
    output: isRecord(output) ? joined(whole(output) as JsonSchema) : {},
  }
}

/** A text that comes in parts is a list in the container's words, and one text in ours. */
function joined(output: JsonSchema): JsonSchema {
  if (output['x-cog-array-display'] !== 'concatenate') return output
  return { ...output, type: ['string', 'array'] }
}

function inlined(value: unknown, inside: Inside): unknown {
  inside.spend()
  if (Array.isArray(value)) return value.map((item) => inlined(item, inside))
  if (!isRecord(value)) return value
  const { $ref, nullable, allOf, ...rest } = value
  const own = Object.fromEntries(Object.entries(rest).map(([key, item]) => [key, inlined(item, inside)]))
  const parts = Array.isArray(allOf) ? allOf.map((part) => inlined(part, inside)) : []
  // The one thing that a field refers to, a list of choices mostly, belongs to the field: forms look for it there.
  const [only] = parts
  const merged =
    parts.length === 1 && isRecord(only)
      ? { ...only, ...own }
      : parts.length > 0
        ? { ...own, allOf: parts }
        : own
  const referred = typeof $ref === 'string' ? { ...target($ref, inside), ...merged } : merged
  return nullable === true ? orNull(referred) : referred
}

function target(ref: string, inside: Inside): JsonSchema {
  const { document, within } = inside
  // One that contains itself has no end: what is in it is left open.
  if (!ref.startsWith('#/') || within.includes(ref)) return {}
  const found = ref
    .slice(2)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce(at, document)
  const schema = inlined(found, { ...inside, within: [...within, ref] })
  return isRecord(schema) ? schema : {}
}

/** OpenAPI 3.0 says `nullable` where JSON Schema has a type. */
function orNull(schema: JsonSchema): JsonSchema {
  const { type, enum: choices } = schema
  return {
    ...schema,
    ...(typeof type === 'string' ? { type: [type, 'null'] } : {}),
    ...(Array.isArray(choices) ? { enum: [...choices, null] } : {}),
  }
}

function at(value: unknown, key: string): unknown {
  return isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined
}

function isRecord(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What a container says of its model. */
export interface CogSchema {
  input: JsonSchema
  output: JsonSchema
}

/** Far more than any model's form has. */
const mostParts = 50_000

/** Where in which document something stands: below these references. */
interface Inside {
  document: unknown
  within: readonly string[]
  /** Counts a value. */
  spend(): void
}
