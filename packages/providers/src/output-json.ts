import { MAX_OUTPUT_BYTES } from './host-messages.ts'

/**
 * Says why a value that a model returned is no JSON, or nothing. `JSON.stringify` alone would drop functions, empty
 * Maps and turn NaN into null without a word.
 */
export function jsonFault(value: unknown): string | undefined {
  if (value === undefined) {
    return 'The model returned nothing'
  }
  const fault = walk(value, [])
  if (fault) {
    return fault.at === undefined ? fault.words : `output${fault.at} ${fault.words}`
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

/** An output may hold millions of values, while other runs wait: where a fault is, is put together only when there is one. */
function walk(value: unknown, above: object[]): Fault | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined
    case 'number':
      return Number.isFinite(value) ? undefined : { at: '', words: `is ${value}, which JSON cannot hold` }
    case 'object':
      return value === null ? undefined : walkObject(value, above)
    case 'undefined':
      return above.length === 0 || Array.isArray(above.at(-1))
        ? { at: '', words: 'is undefined, which JSON cannot hold' }
        : undefined
    default:
      return { at: '', words: `is a ${typeof value}, which JSON cannot hold` }
  }
}

function walkObject(value: object, above: object[]): Fault | undefined {
  if (above.includes(value)) {
    return { at: '', words: 'contains itself, which JSON cannot hold' }
  }
  if (above.length >= MAX_DEPTH) {
    return { words: `The output is nested deeper than ${MAX_DEPTH} levels` }
  }
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    return { at: '', words: 'is bytes: return them with file()' }
  }
  above.push(value)
  const fault = walkInside(value, above)
  above.pop()
  return fault
}

function walkInside(value: object, above: object[]): Fault | undefined {
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    return walk(value.toJSON(), above)
  }
  if (value instanceof Map || value instanceof Set) {
    return { at: '', words: `is a ${value.constructor.name}, which JSON cannot hold` }
  }
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const fault = index in value ? walk(value[index], above) : undefined
      if (fault) return below(`[${index}]`, fault)
    }
    return undefined
  }
  for (const key of Object.keys(value)) {
    const fault = walk(Reflect.get(value, key), above)
    if (fault) return below(`.${key}`, fault)
  }
  return undefined
}

function below(step: string, { at, words }: Fault): Fault {
  return at === undefined ? { words } : { at: step + at, words }
}

const MAX_DEPTH = 64

/** What is wrong with a value, and where below the output it is; some faults are of no place. */
interface Fault {
  at?: string
  words: string
}
