import type { ModelDescription } from './description.ts'
import type { FileField } from './file-fields.ts'
import type { JsonSchema } from './schema.ts'

/** The first file that is one too many, with what to say of it. */
export function tooManyFiles(
  { maxCount }: FileLimits,
  fields: FileField[],
): { field: FileField; problem: string } | undefined {
  const field = maxCount === undefined ? undefined : fields[maxCount]
  return (
    field && { field, problem: `This model takes at most ${maxCount} ${maxCount === 1 ? 'file' : 'files'}` }
  )
}

/** The schema with the limits in each field that holds a file: `x-max-bytes`, `x-content-types`; `x-max-files` is the input's. */
export function withFileLimits(schema: JsonSchema, limits: FileLimits): JsonSchema {
  const { maxBytes, maxCount, contentTypes } = limits
  if (maxBytes === undefined && maxCount === undefined && contentTypes === undefined) return schema
  const own = {
    ...(maxBytes === undefined ? {} : { 'x-max-bytes': maxBytes }),
    ...(contentTypes === undefined ? {} : { 'x-content-types': contentTypes }),
  }
  const marked = marking(schema, own) as JsonSchema
  return maxCount === undefined ? marked : { ...marked, 'x-max-files': maxCount }
}

function marking(schema: unknown, own: Record<string, unknown>): unknown {
  if (Array.isArray(schema)) return schema.map((item) => marking(item, own))
  if (typeof schema !== 'object' || schema === null) return schema
  const entries = Object.entries(schema).map(([key, value]) => [key, marking(value, own)])
  const isFile = 'format' in schema && schema.format === 'uri'
  return { ...Object.fromEntries(entries), ...(isFile ? own : {}) }
}

type FileLimits = ModelDescription['inputFiles']
