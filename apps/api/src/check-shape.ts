import type { ErrorId } from '@millrace/contract/errors'
import { nearest } from '@millrace/models/nearest'
import type { z } from 'zod'
import { ApiError, type Field } from './api-error.ts'

/**
 * What a schema makes of parameters or a body. Throws the error id that its first wrong field calls for, with every
 * wrong field named; `ignored` are the names that were sent and not known, for a hint at what was meant.
 */
export function checkShape(
  schema: z.ZodObject | undefined,
  given: unknown,
  errorIds: Readonly<Record<string, ErrorId>>,
  ignored: string[] = [],
): unknown {
  if (!schema) return {}
  const result = schema.safeParse(given)
  if (result.success) return result.data
  const fields = result.error.issues.map((issue) => fieldOf(issue, ignored))
  const [first] = result.error.issues
  const id = errorIds[String(first?.path[0] ?? '')] ?? 'INVALID_PARAMETER'
  throw new ApiError(id, sentence(fields[0]), { fields })
}

/** A wrong field; when a missing one was merely misspelt, the message says so. */
function fieldOf(issue: z.core.$ZodIssue, ignored: string[]): Field {
  const inner = issue.code === 'invalid_union' ? insideOf(issue) : undefined
  if (inner) return inner
  const name = issue.path.map(String).join('.')
  const message = messageOf(issue)
  const near = issue.path.length === 1 ? nearest(name, ignored) : undefined
  return { path: name, message: near ? `${message}; you sent "${near}", did you mean "${name}"?` : message }
}

/** Of the ways that a union could have been met, what is wrong inside the one that was tried. */
function insideOf(issue: z.core.$ZodIssueInvalidUnion): Field | undefined {
  const tried = issue.errors.flat().find(({ path }) => path.length > 0)
  if (!tried) return undefined
  return { path: [...issue.path, ...tried.path].map(String).join('.'), message: messageOf(tried) }
}

function sentence(field: Field | undefined): string {
  const text = `${field?.path || 'The request'} ${field?.message}`
  return text.endsWith('?') ? text : `${text}.`
}

function messageOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') {
    if (/received undefined/.test(issue.message)) return 'is required'
    return `must be ${typeNames[issue.expected] ?? issue.expected}`
  }
  if (issue.code === 'invalid_key' && issue.issues[0]) return messageOf(issue.issues[0])
  if (issue.code === 'invalid_union') return 'has the wrong type'
  if (issue.code === 'invalid_value') return `must be one of ${issue.values.map(String).join(', ')}`
  return issue.message.replace(/^Too (small|big): expected \w+ to (be|have) /, (_, _size, verb) =>
    verb === 'be' ? 'must be ' : 'must have ',
  )
}

const typeNames: Readonly<Record<string, string>> = {
  record: 'an object',
  object: 'an object',
  array: 'a list',
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
}
