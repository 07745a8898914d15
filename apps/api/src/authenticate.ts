import type { Caller } from '@millrace/accounts/api-keys'
import { isInRanges } from '@millrace/accounts/ip-ranges'
import { noStanding } from '@millrace/accounts/standing'
import type { EndpointDefinition } from '@millrace/contract/endpoint'
import type { Request, RequestHandler, Response } from 'express'
import { ApiError } from './api-error.ts'
import type { Context } from './context.ts'

/**
 * Lets in whoever may call an endpoint, before any of the body is read; `callerOf` then tells who it is. Throws
 * UNAUTHORIZED, the same for unknown, revoked and expired keys; ACCOUNT_SUSPENDED, SECURITY_VIOLATION, SCOPE_REQUIRED.
 */
export function admit(context: Context, { scope }: Pick<EndpointDefinition, 'scope'>): RequestHandler {
  return async (request, response, next) => {
    const caller = await authenticate(context, request)
    if (caller.ipAllow && !isInRanges(request.ip, caller.ipAllow)) throw new ApiError('SECURITY_VIOLATION')
    context.keyUses.note(caller.keyId)
    if (scope !== undefined && !caller.scopes.includes(scope))
      throw new ApiError('SCOPE_REQUIRED', `The key needs the scope \`${scope}\` for this.`)
    response.locals.caller = caller
    response.locals.accountId = caller.accountId
    next()
  }
}

/** The caller that was let in; nobody on open endpoints. */
export function callerOf(response: Response): Caller {
  return response.locals.caller ?? nobody
}

const nobody: Caller = {
  accountId: '',
  keyId: '',
  keyName: '',
  ...noStanding,
  suspended: false,
  scopes: [],
  models: null,
  ipAllow: null,
  limits: null,
}

/**
 * Who is calling: `x-api-key`, else `Authorization: Bearer`. A revocation takes effect within a second (callers.ts).
 */
async function authenticate(context: Context, request: Request): Promise<Caller> {
  const key = keyOf(request)
  if (key === undefined) throw new ApiError('UNAUTHORIZED', whatIsMissing(request))
  const caller = await context.callers.of(key)
  if (!caller) throw new ApiError('UNAUTHORIZED', 'The API key is not valid.')
  if (caller.suspended) throw new ApiError('ACCOUNT_SUSPENDED')
  return caller
}

function keyOf(request: Request): string | undefined {
  const own = request.get('x-api-key')
  if (own) return own
  return /^Bearer +(\S+)$/i.exec(request.get('authorization') ?? '')?.[1]
}

function whatIsMissing(request: Request): string {
  return request.get('authorization') === undefined
    ? 'No API key was sent.'
    : 'The Authorization header must be `Authorization: Bearer <key>`.'
}
