import { copyOf } from './copy-of.ts'
import type { JsonSchema } from './schema.ts'

/** The files in an input: every string that the schema marks `format: uri`, also in arrays and nested objects. */
export function fileFields(schema: JsonSchema, input: unknown): FileField[] {
  return [...walk(schema, input, [])]
}

/** Whether an input of this schema may hold a file anywhere. */
export function takesFiles(schema: unknown): boolean {
  if (!isObject(schema)) return false
  return schema.format === 'uri' || Object.values(schema).some(takesFiles)
}

/** The input with something else at the places of some of its files: a copy, unless there are none. */
export function replaceFiles(
  input: Record<string, unknown>,
  replacements: { path: FileField['path']; value: unknown }[],
): Record<string, unknown> {
  if (replacements.length === 0) return input
  const copy = copyOf(input)
  for (const { path, value } of replacements) {
    const parent: unknown = path
      .slice(0, -1)
      .reduce<unknown>((at, key) => (isObject(at) ? at[key] : undefined), copy)
    const last = path.at(-1)
    if (isObject(parent) && last !== undefined) {
      parent[last] = value
    }
  }
  return copy
}

function* walk(schema: unknown, value: unknown, path: (string | number)[]): Generator<FileField> {
  if (!isObject(schema)) {
    return
  }
  if (schema.format === 'uri' && typeof value === 'string') {
    yield { path, url: value }
    return
  }
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      yield* walk(schema.items, item, [...path, index])
    }
  } else if (isObject(value) && isObject(schema.properties)) {
    for (const [name, property] of Object.entries(schema.properties)) {
      if (Object.hasOwn(value, name)) {
        yield* walk(property, value[name], [...path, name])
      }
    }
  }
  for (const variant of [schema.anyOf, schema.oneOf, schema.allOf].filter(Array.isArray).flat()) {
    yield* walk(variant, value, path)
  }
}

function isObject(value: unknown): value is Record<string | number, unknown> {
  return typeof value === 'object' && value !== null
}

/** Where in an input a file is, and how it was given. */
export interface FileField {
  path: (string | number)[]
  url: string
}
