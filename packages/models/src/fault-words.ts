/**
 * What is wrong with a value, as it follows the name of its field: one wording for what a request and for what an input
 * gets wrong, whichever library found it.
 */

/** That a value has another type than one of these: names of JSON Schema, or of zod. */
export function mustBe(types: readonly string[]): string {
  return `must be ${types.map((type) => typeWords[type] ?? type).join(' or ')}`
}

/** That a value is none of these. */
export function mustBeOneOf(values: readonly unknown[]): string {
  const [first] = values
  return values.length === 1
    ? `must be ${inWords(first)}`
    : `must be one of ${values.map(inWords).join(', ')}`
}

/** That a number is, or a text, list or object has, too little or too much. */
export function beyond({ side, limit, of, inclusive = true }: Limit): string {
  const [noun, plural] = parts[of] ?? []
  if (noun === undefined)
    return `must be ${inclusive ? words[side].inclusive : words[side].exclusive} ${limit}`
  if (side === 'min' && limit === 1 && of === 'string') return 'must not be empty'
  return `must have ${words[side].inclusive} ${limit} ${limit === 1 ? noun : plural}`
}

const words = {
  min: { inclusive: 'at least', exclusive: 'more than' },
  max: { inclusive: 'at most', exclusive: 'less than' },
} as const

/** What is counted of what is no number. */
const parts: Readonly<Record<string, readonly [one: string, many: string]>> = {
  string: ['character', 'characters'],
  array: ['item', 'items'],
  object: ['field', 'fields'],
  record: ['field', 'fields'],
}

const typeWords: Readonly<Record<string, string>> = {
  record: 'an object',
  object: 'an object',
  array: 'a list',
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  integer: 'a whole number',
  boolean: 'true or false',
}

function inWords(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** A limit that was not kept. */
export interface Limit {
  side: 'min' | 'max'
  limit: number
  /** What it is a limit of: `string`, `array`, `object` or `record` for how many it has, all else for how much it is. */
  of: string
  inclusive?: boolean
}
