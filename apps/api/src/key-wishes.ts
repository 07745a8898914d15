import { presentKey } from '@millrace/accounts/find-keys'
import { isRange } from '@millrace/accounts/ip-ranges'
import { KeyFault, type KeyWishes } from '@millrace/accounts/key-bounds'
import type { MadeKey } from '@millrace/accounts/manage-keys'
import type { ErrorId } from '@millrace/contract/errors'
import type { PatchKey } from '@millrace/contract/key'
import { databaseNow } from '@millrace/database/clock'
import type { Response } from 'express'
import { ApiError } from './api-error.ts'
import { badParameter } from './bad-parameter.ts'

/** What a request says of a key, but for its name. Throws INVALID_PARAMETER. */
export function wishesOf(body: Omit<PatchKey, 'name'>): Omit<KeyWishes, 'name'> {
  const { scopes, models, ip_allow: ranges, limits, credit_limit } = body
  const bad = ranges?.findIndex((range) => !isRange(range)) ?? -1
  if (bad !== -1) throw badParameter(`ip_allow.${bad}`, 'must be an address or a range such as 10.1.0.0/16')
  return {
    scopes: scopes && [...new Set(scopes)],
    models,
    ip_allow: ranges,
    limits,
    credit_limit,
    expires_at: endOf(body),
  }
}

/** When a key is to end: undefined where nothing was said, null for never. Throws INVALID_PARAMETER. */
function endOf({
  expires_at: at,
  expires_in: seconds,
}: Pick<PatchKey, 'expires_at' | 'expires_in'>): Date | null | undefined {
  if (at !== undefined && seconds !== undefined)
    throw badParameter('expires_in', 'cannot be sent with expires_at')
  if (seconds !== undefined) return new Date(databaseNow() + seconds * 1000)
  if (at === undefined || at === null) return at
  const end = new Date(at)
  if (end.getTime() <= databaseNow()) throw badParameter('expires_at', 'must be in the future')
  return end
}

/** The one answer that shows a key; nobody on the way may keep it. */
export function madeKeyOf(response: Response, { row, key }: MadeKey) {
  response.set('cache-control', 'no-store')
  return { ...presentKey(row), key }
}

/** What was refused about a key, in the words of the API; throws all else as it is. */
export function asKeyError(error: unknown): never {
  if (!(error instanceof KeyFault)) throw error
  const { field, message } = error
  throw new ApiError(ids[field], message, {
    ...(field === 'asking' || field === 'state' ? {} : { fields: [{ path: field, message }] }),
  })
}

const ids: Readonly<Record<KeyFault['field'], ErrorId>> = {
  scopes: 'SCOPE_REQUIRED',
  models: 'MODEL_FORBIDDEN',
  ip_allow: 'SECURITY_VIOLATION',
  credit_limit: 'SECURITY_VIOLATION',
  expires_at: 'SECURITY_VIOLATION',
  state: 'INVALID_REQUEST',
  asking: 'UNAUTHORIZED',
}
