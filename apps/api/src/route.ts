import type { Caller } from '@millrace/accounts/api-keys'
import type { EndpointDefinition } from '@millrace/contract/endpoints'
import type { ErrorId } from '@millrace/contract/errors'
import { sanitise } from '@millrace/database/sanitise'
import type { Request, RequestHandler, Response } from 'express'
import type { z } from 'zod'
import { ApiError, type Field } from './api-error.ts'
import { callerOf } from './authenticate.ts'
import type { Context } from './context.ts'
import { readJson } from './read-json.ts'

/**
 * Ties an endpoint of the contract to its deed. Before the deed: the JSON, the shape of parameters and body;
 * after it: the answer as JSON, with the first status of the contract unless the deed says another. A deed that
 * answers by itself (a stream, a file) returns `answered`.
 */
export function route<const E extends EndpointDefinition>(
  endpoint: E,
  deed: (incoming: Incoming<E>) => Promise<unknown>,
): Route {
  const handle =
    (context: Context): RequestHandler =>
    async (request, response) => {
      const raw = Buffer.isBuffer(request.body) ? request.body : undefined
      const incoming = {
        context,
        caller: callerOf(response),
        request,
        response,
        raw,
        params: check(endpoint.params, request.params, {}),
        query: check(endpoint.query, sanitise(request.query), {}),
        body: endpoint.body ? readBody(endpoint, raw, response) : undefined,
      } as Incoming<E>
      const answer = await deed(incoming)
      if (answer === answered) return
      const [firstStatus] = Object.keys(endpoint.replies).sort((a, b) => preferred(b) - preferred(a))
      const { status, body } =
        answer instanceof Answer ? answer : { status: Number(firstStatus), body: answer }
      response.status(status).json(body)
    }
  return { endpoint, handle }
}

/** An answer with a status of its own. */
export function answer(status: number, body: unknown): Answer {
  return new Answer(status, body)
}

/** What a deed returns that wrote its reply itself. */
export const answered = Symbol('answered')

class Answer {
  readonly status: number
  readonly body: unknown

  constructor(status: number, body: unknown) {
    this.status = status
    this.body = body
  }
}

// 201 before 200: of a create's two statuses the usual one.
const preferred = (status: string): number => (status === '201' ? 2 : status === '200' ? 1 : 0)

function readBody(endpoint: EndpointDefinition, raw: Buffer | undefined, response: Response): unknown {
  const given = readJson(raw) ?? {}
  const known = Object.keys(endpoint.body?.shape ?? {})
  const ignored = Object.keys(given).filter((name) => !known.includes(name))
  if (ignored.length > 0) response.set('x-ignored-fields', headerSafe(ignored))
  refuseProto(given, known, endpoint.fieldErrors ?? {})
  return check(endpoint.body, given, endpoint.fieldErrors ?? {}, ignored)
}

/** The schemas drop this name in silence, in `input` and `tags` too, where every name is the caller's. */
function refuseProto(
  given: Record<string, unknown>,
  known: string[],
  errorIds: Readonly<Record<string, ErrorId>>,
): void {
  for (const name of known) {
    const value = given[name]
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, '__proto__')) continue
    const field = { path: `${name}.__proto__`, message: 'is not a name that a field can have' }
    throw new ApiError(errorIds[name] ?? 'INVALID_PARAMETER', `${field.path} ${field.message}.`, {
      fields: [field],
    })
  }
}

/** Names as a header value: what a header cannot hold is percent-encoded. */
function headerSafe(names: string[]): string {
  return names
    .map((name) => encodeURIComponent(name.toWellFormed()))
    .join(', ')
    .slice(0, 1000)
}

function check(
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
  throw new ApiError(id, `${fields[0]?.path || 'The request'} ${fields[0]?.message}.`, { fields })
}

/** A wrong field; when a missing one was merely misspelt, the message says so. */
function fieldOf(issue: z.core.$ZodIssue, ignored: string[]): Field {
  const name = issue.path.map(String).join('.')
  const message = messageOf(issue)
  const near = issue.path.length === 1 ? ignored.find((given) => isNear(given, name)) : undefined
  return { path: name, message: near ? `${message}; you sent "${near}", did you mean "${name}"?` : message }
}

function messageOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') {
    if (/received undefined/.test(issue.message)) return 'is required'
    return `must be ${typeNames[issue.expected] ?? issue.expected}`
  }
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

function isNear(given: string, name: string): boolean {
  const [a, b] = [given.toLowerCase(), name.toLowerCase()]
  return a === `${b}s` || `${a}s` === b || a === b || a.replaceAll(/[_-]/g, '') === b
}

export interface Route {
  endpoint: EndpointDefinition
  handle: (context: Context) => RequestHandler
}

/** What a deed gets. */
export interface Incoming<E extends EndpointDefinition> {
  context: Context
  caller: Caller
  request: Request
  response: Response
  raw: Buffer | undefined
  params: E['params'] extends z.ZodObject ? z.infer<E['params']> : Record<string, never>
  query: E['query'] extends z.ZodObject ? z.infer<E['query']> : Record<string, never>
  body: E['body'] extends z.ZodObject ? z.infer<E['body']> : undefined
}
