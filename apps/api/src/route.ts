import type { Caller } from '@millrace/accounts/api-keys'
import type { EndpointDefinition } from '@millrace/contract/endpoint'
import type { ErrorId } from '@millrace/contract/errors'
import { sanitise } from '@millrace/database/sanitise'
import type { Request, RequestHandler, Response } from 'express'
import type { z } from 'zod'
import { ApiError } from './api-error.ts'
import { callerOf } from './authenticate.ts'
import { checkShape } from './check-shape.ts'
import type { Context } from './context.ts'
import { hintsAt, ignoredFields, nameIgnored } from './ignored-fields.ts'
import { readForm, type Upload } from './read-form.ts'
import { readJson } from './read-json.ts'
import { isForm } from './receive-form.ts'
import { sendJson } from './send-json.ts'

/**
 * Ties an endpoint of the contract to its deed. Before the deed: the JSON, the shape of parameters and body;
 * after it: the answer as JSON, with the first status of the contract unless the deed says another. A deed that
 * answers by itself (a stream, a file) returns `answered`.
 */
export function route<const E extends EndpointDefinition>(
  endpoint: E,
  deed: (incoming: Incoming<E>) => Promise<unknown>,
): Route {
  const [usual] = Object.keys(endpoint.replies).sort((a, b) => preferred(b) - preferred(a))
  const handle =
    (context: Context): RequestHandler =>
    async (request, response) => {
      const incoming = {
        context,
        caller: callerOf(response),
        request,
        response,
        params: checkShape(endpoint.params, sanitise(request.params), {}),
        query: checkShape(endpoint.query, sanitise(request.query), {}),
        ...(await read(endpoint, context, request, response)),
      } as Incoming<E>
      const answer = await deed(incoming)
      if (answer === answered) return
      const { status, body } = answer instanceof Answer ? answer : { status: Number(usual), body: answer }
      sendJson(response, status, body)
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

async function read(
  endpoint: EndpointDefinition,
  context: Context,
  request: Request,
  response: Response,
): Promise<Pick<Incoming<EndpointDefinition>, 'raw' | 'upload' | 'hints'> & { body: unknown }> {
  if (endpoint.formFile !== undefined && isForm(request)) {
    const { said, body, upload } = await readForm(context, callerOf(response), request, endpoint.formFile)
    try {
      return { raw: said, upload, ...checkBody(endpoint, body, response) }
    } catch (error) {
      await upload?.discard()
      throw error
    }
  }
  const raw = Buffer.isBuffer(request.body) ? request.body : undefined
  if (!endpoint.body) return { raw, upload: undefined, body: undefined, hints: [] }
  const given = readJson(raw, request.get('content-type')) ?? {}
  return { raw, upload: undefined, ...checkBody(endpoint, given, response) }
}

function checkBody(
  { body, fieldErrors = {} }: EndpointDefinition,
  given: Record<string, unknown>,
  response: Response,
): { body: unknown; hints: string[] } {
  const known = Object.keys(body?.shape ?? {})
  // A schema with a catch-all ignores nothing.
  const ignored = ignoredFields(body?.def.catchall ? [] : Object.keys(given), known)
  nameIgnored(response, ignored)
  refuseProto(given, known, fieldErrors)
  const names = ignored.map(({ name }) => name)
  return { body: checkShape(body, given, fieldErrors, names), hints: hintsAt(ignored) }
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
  /** The body's bytes; of a form, what it says. */
  raw: Buffer | undefined
  /** The file of a form. */
  upload: Upload | undefined
  params: E['params'] extends z.ZodObject ? z.infer<E['params']> : Record<string, never>
  query: E['query'] extends z.ZodObject ? z.infer<E['query']> : Record<string, never>
  body: E['body'] extends z.ZodObject ? z.infer<E['body']> : undefined
  /** What to tell the caller of names in the body that were probably misspelt. */
  hints: string[]
}
