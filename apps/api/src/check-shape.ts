import type { ErrorId } from '@millrace/contract/errors'
import { beyond, mustBe, mustBeOneOf } from '@millrace/models/fault-words'
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
  switch (issue.code) {
    case 'invalid_type':
      return /received undefined/.test(issue.message) ? 'is required' : mustBe([issue.expected])
    case 'invalid_key':
      return issue.issues[0] ? messageOf(issue.issues[0]) : issue.message
    case 'invalid_union':
      return 'has the wrong type'
    case 'invalid_value':
      return mustBeOneOf(issue.values)
    case 'too_small':
      return stated(issue) ?? beyond({ ...limitOf(issue), side: 'min', limit: Number(issue.minimum) })
    case 'too_big':
      return stated(issue) ?? beyond({ ...limitOf(issue), side: 'max', limit: Number(issue.maximum) })
    default:
      return issue.message
  }
}

/** What the schema itself says of its limit: it knows the unit. */
function stated({ message }: z.core.$ZodIssue): string | undefined {
  return message.startsWith('Too ') ? undefined : message
}

function limitOf({ origin, inclusive = true }: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig) {
  return { of: origin, inclusive }
}
