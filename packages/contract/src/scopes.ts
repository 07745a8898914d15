/** What a key may be allowed to do. */
export const scopes = [
  'predictions:read',
  'predictions:write',
  'inference:write',
  'models:read',
  'files:read',
  'files:write',
  'webhooks:read',
  'webhooks:write',
  'usage:read',
  'keys:read',
  'keys:write',
  'admin',
] as const

/** What a new key may do unless it is told: all but to make keys and to administer. */
export const usualScopes: readonly Scope[] = scopes.filter(
  (scope) => scope !== 'keys:write' && scope !== 'admin',
)

export type Scope = (typeof scopes)[number]
