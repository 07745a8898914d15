import { MAX_OUTPUT_BYTES } from './host-messages.ts'

/**
 * Says why a value that a model returned is no JSON, or nothing. `JSON.stringify` alone would drop functions, empty
 * Maps and turn NaN into null without a word.
 */
export function jsonFault(value: unknown): string | undefined {
  if (value === undefined) {
    return 'The model returned nothing'
  }
  const fault = walk(value, 'output', [])
  if (fault) {
    return fault
  }
  const size = Buffer.byteLength(JSON.stringify(value))
  return size > MAX_OUTPUT_BYTES ? tooLarge(size) : undefined
}

/** Why an output of this many bytes is refused. */
export function tooLarge(bytes: number): string {
  return `The output is ${(bytes / 1024 / 1024).toFixed(1)} MB of JSON and may be ${MAX_OUTPUT_BYTES >> 20} MB: return large results as files`
}

/** Thrown while an output is made that cannot be one. */
export class InvalidOutput extends Error {}

function walk(value: unknown, path: string, above: object[]): string | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined
    case 'number':
      return Number.isFinite(value) ? undefined : `${path} is ${value}, which JSON cannot hold`
    case 'object':
      return value === null ? undefined : walkObject(value, path, above)
    case 'undefined':
      return above.length === 0 || Array.isArray(above.at(-1))
        ? `${path} is undefined, which JSON cannot hold`
        : undefined
    default:
      return `${path} is a ${typeof value}, which JSON cannot hold`
  }
}

function walkObject(value: object, path: string, above: object[]): string | undefined {
  if (above.includes(value)) {
    return `${path} contains itself, which JSON cannot hold`
  }
  if (above.length >= MAX_DEPTH) {
    return `The output is nested deeper than ${MAX_DEPTH} levels`
  }
  if ('toJSON' in value && typeof value.toJSON === 'function' && !ArrayBuffer.isView(value)) {
    return walk(value.toJSON(), path, [...above, value])
  }
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    return `${path} is bytes: return them with file()`
  }
  if (value instanceof Map || value instanceof Set) {
    return `${path} is a ${value.constructor.name}, which JSON cannot hold`
  }
  const inside = [...above, value]
  for (const [key, item] of Object.entries(value)) {
    const fault = walk(item, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`, inside)
    if (fault) {
      return fault
    }
  }
  return undefined
}

const MAX_DEPTH = 64
