import type { CreditLimit } from '@millrace/contract/budget'
import { coversRules } from '@millrace/contract/model-rules'
import type { Limits, ModelRules } from '@millrace/contract/plan'
import { type Scope, usualScopes } from '@millrace/contract/scopes'
import { coversRange } from './ip-ranges.ts'

/** What a key is to be: where nothing was said, as the key that asks. Without one, as usual. */
export function settingsOf(wishes: KeyWishes, asking?: KeySettings): KeySettings {
  const { name, scopes, models, ip_allow, limits, credit_limit, expires_at } = wishes
  const usual = asking ? usualScopes.filter((scope) => asking.scopes.includes(scope)) : usualScopes
  return {
    name,
    scopes: scopes ?? usual,
    models: models === undefined ? (asking?.models ?? null) : models,
    ip_allow: ip_allow === undefined ? (asking?.ip_allow ?? null) : ip_allow,
    limits: limits === undefined ? (asking?.limits ?? null) : limits,
    credit_limit: credit_limit === undefined ? (asking?.credit_limit ?? null) : credit_limit,
    expires_at: expires_at === undefined ? (asking?.expires_at ?? null) : expires_at,
  }
}

/** Throws KeyFault where a key with these settings could do what the one that asks cannot. */
export function refuseBeyond(asking: KeySettings, settings: KeySettings): void {
  refuseScopes(asking, settings)
  if (!coversRules(asking.models, settings.models))
    throw new KeyFault('models', 'A key cannot have more models than the key that asks for it.')
  const { ip_allow: own } = asking
  if (own && !settings.ip_allow?.every((range) => coversRange(own, range)))
    throw new KeyFault('ip_allow', 'A key cannot be used from more addresses than the key that asks for it.')
  const { credit_limit: most } = asking
  if (most && !isWithin(most, settings.credit_limit))
    throw new KeyFault(
      'credit_limit',
      `A key cannot spend more than the one that asks for it: ${most.credits} credits, by the same period.`,
    )
  const { expires_at: end } = asking
  if (end && !(settings.expires_at && settings.expires_at <= end))
    throw new KeyFault(
      'expires_at',
      `A key cannot last longer than the one that asks for it: ${end.toISOString()}.`,
    )
}

const isWithin = (most: CreditLimit, wanted: CreditLimit | null): boolean =>
  wanted !== null && wanted.period === most.period && wanted.credits <= most.credits

/** Throws KeyFault where a key may do what the one that asks may not. */
export function refuseScopes(
  asking: Pick<KeySettings, 'scopes'>,
  { scopes }: Pick<KeySettings, 'scopes'>,
): void {
  const missing = scopes.find((scope) => !asking.scopes.includes(scope))
  if (missing !== undefined)
    throw new KeyFault('scopes', `The key that asks needs the scope \`${missing}\` itself.`)
  if (scopes.length === 0)
    throw new KeyFault('scopes', 'Name the `scopes`: the key that asks has none of the usual ones to give.')
}

/** Why nothing was done to a key: `field` says what it is about. */
export class KeyFault extends Error {
  readonly field: 'scopes' | 'models' | 'ip_allow' | 'credit_limit' | 'expires_at' | 'state' | 'asking'

  constructor(field: KeyFault['field'], message: string) {
    super(message)
    this.name = 'KeyFault'
    this.field = field
  }
}

/** All that is decided about a key, by the names of its columns. */
export interface KeySettings {
  name: string
  scopes: readonly Scope[]
  models: ModelRules | null
  ip_allow: readonly string[] | null
  limits: Limits | null
  credit_limit: CreditLimit | null
  expires_at: Date | null
}

/** What somebody said of it. */
export type KeyWishes = Pick<KeySettings, 'name'> & {
  [Field in Exclude<keyof KeySettings, 'name'>]?: KeySettings[Field] | undefined
}
