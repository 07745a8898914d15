import { takesFiles } from './file-fields.ts'
import type { JsonSchema } from './schema.ts'

/** The names of the fields that an input schema states. */
export function fieldNamesOf(schema: JsonSchema): string[] {
  return Object.keys(propertiesOf(schema))
}

/** What a schema states of one field; undefined where it does not state the field. */
export function fieldSchemaOf(schema: JsonSchema, name: string): Record<string, unknown> | undefined {
  const properties = propertiesOf(schema)
  return Object.hasOwn(properties, name) ? (properties[name] ?? {}) : undefined
}

/** Whether an input may have fields that its schema does not state, because it says so or states none at all. */
export function takesAnyField({ properties, additionalProperties }: JsonSchema): boolean {
  if (additionalProperties !== undefined) return additionalProperties !== false
  return properties === undefined
}

/** The field that holds the file of an input: one of these names, else the first that can. */
export function fileFieldOf(schema: JsonSchema, names: readonly string[] = []): FileField | undefined {
  const own = Object.entries(propertiesOf(schema)).filter(
    ([, property]) => property?.type !== 'object' && takesFiles(property),
  )
  const named = names.flatMap((name) => own.filter(([field]) => field === name))
  const [first] = [...named, ...own]
  return first && { name: first[0], isList: first[1]?.type === 'array' }
}

function propertiesOf({ properties }: JsonSchema): Record<string, Record<string, unknown> | undefined> {
  return (properties ?? {}) as Record<string, Record<string, unknown> | undefined>
}

interface FileField {
  name: string
  /** It takes several: one goes into a list. */
  isList: boolean
}
