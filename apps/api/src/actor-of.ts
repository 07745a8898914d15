import type { Actor } from '@millrace/accounts/audit'
import type { Incoming } from './route.ts'

/** Who does it, as the audit log tells it. */
export function actorOf({
  caller,
  request,
  response,
}: Pick<Incoming<never>, 'caller' | 'request' | 'response'>): Actor {
  return {
    kind: 'key',
    keyId: caller.keyId,
    keyName: caller.keyName,
    accountId: caller.accountId,
    ip: request.ip ?? null,
    requestId: String(response.getHeader('x-request-id') ?? '') || null,
  }
}
