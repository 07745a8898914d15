import { hash } from 'node:crypto'
import { type Caller, digestsOf, findCaller } from '@millrace/accounts/api-keys'
import { wellFormed } from '@millrace/keys/api-key'
import type { Request, RequestHandler, Response } from 'express'
import { ApiError } from './api-error.ts'
import type { Context } from './context.ts'

/** Lets in whoever may call, before any of the body is read; `callerOf` then tells who it is. */
export function admit(context: Context): RequestHandler {
  return async (request, response, next) => {
    const caller = await authenticate(context, request)
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
  admin: false,
  suspended: false,
  retention: {},
}

/**
 * Who is calling: `x-api-key`, else `Authorization: Bearer`. A malformed key costs no query; the caller of a good one
 * is remembered for a second, so that a burst is one look-up and a revocation takes effect within that second.
 * Throws UNAUTHORIZED, the same for unknown, revoked and expired; ACCOUNT_SUSPENDED.
 */
async function authenticate(context: Context, request: Request): Promise<Caller> {
  const key = keyOf(request)
  if (key === undefined) throw new ApiError('UNAUTHORIZED', whatIsMissing(request))
  const caller = await lookUp(context, key)
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

async function lookUp({ db, keyRing, callers }: Context, key: string): Promise<Caller | undefined> {
  const name = hash('sha256', key, 'base64')
  const known = callers.get(name)
  if (known && known.until > performance.now()) return known.caller
  if (!wellFormed(key)) return undefined
  const caller = findCaller(db, digestsOf(keyRing, key))
  if (callers.size >= maxRemembered) callers.clear()
  callers.set(name, { caller, until: performance.now() + rememberedMs })
  caller.catch(() => callers.delete(name))
  return caller
}

/** Callers by a hash of their key, as their look-ups. */
export type Callers = Map<string, { caller: Promise<Caller | undefined>; until: number }>

const rememberedMs = 1_000
const maxRemembered = 10_000
