import type { Limits, ModelRules } from '@millrace/contract/plan'
import { scopes as allScopes, type Scope, usualScopes } from '@millrace/contract/scopes'
import type { Connection, Database } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { digest, newApiKey } from '@millrace/keys/api-key'
import { deriveKey } from '@millrace/keys/derive'
import { asStanding, type Standing, type StandingRow, standingOf } from './standing.ts'

/** The keys that accounts need, derived once from the master key, and from the one before it during a rotation. */
export function createKeyRing(masterKey: string, previousMasterKey?: string): KeyRing {
  return {
    pepper: deriveKey(masterKey, 'api-key-pepper'),
    sealing: deriveKey(masterKey, 'sealing'),
    ...(previousMasterKey === undefined ? {} : { previous: createKeyRing(previousMasterKey) }),
  }
}

/** A key's digests under the current pepper and the one before it. */
export function digestsOf(ring: KeyRing, key: string): Buffer[] {
  return [digest(key, ring.pepper), ...(ring.previous ? digestsOf(ring.previous, key) : [])]
}

/** Makes a key for an account and answers its full text: the only time it is ever shown. */
export async function createKey(
  db: Database,
  ring: KeyRing,
  request: NewKey,
): Promise<{ id: string; key: string }> {
  const key = newApiKey()
  return { id: await storeKey(db.pool, ring, { ...request, key }), key }
}

/** Stores the digest of a key, and what it may do: as usual unless stated, as an admin all there is. */
export async function storeKey(
  connection: Connection,
  ring: KeyRing,
  { accountId, name, key, admin = false, scopes = admin ? allScopes : usualScopes, ...more }: StoredKey,
): Promise<string> {
  const id = newId()
  await connection.query(
    `insert into api_keys (id, account_id, name, prefix, digest, admin, scopes, expires_at, models, ip_allow, limits, rotated_from)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
    [
      id,
      accountId,
      name,
      key.slice(0, 11),
      digest(key, ring.pepper),
      scopes.includes('admin'),
      scopes,
      more.expiresAt ?? null,
      more.models ? JSON.stringify(more.models) : null,
      more.ipAllow ?? null,
      more.limits ? JSON.stringify(more.limits) : null,
      more.rotatedFrom ?? null,
    ],
  )
  return id
}

/** Whose keys these are, by their digests, while they are neither revoked nor expired. */
export async function findCallers({ pool }: Database, digests: readonly Buffer[]): Promise<FoundCaller[]> {
  const { rows } = await pool.query<CallerRow>({
    name: 'find-callers',
    text: `select k.digest, k.account_id as "accountId", k.id as "keyId", k.name as "keyName", ${scopesOf('k')} as scopes, k.models, k.ip_allow as "ipAllow", k.limits,
             ${standingOf('a')}
           from api_keys k join accounts a on a.id = k.account_id
           where k.digest = any($1::bytea[]) and k.revoked_at is null and (k.expires_at is null or k.expires_at > clock_timestamp())`,
    values: [digests],
  })
  return rows.map(
    ({ digest: found, accountId, keyId, keyName, scopes, models, ipAllow, limits, ...row }) => ({
      digest: found,
      caller: { accountId, keyId, keyName, scopes, models, ipAllow, limits, ...asStanding(row) },
    }),
  )
}

/**
 * The scopes of a key, for a statement that has `api_keys` under this name. A process of the version before makes admin
 * keys that only `admin` says it of.
 */
export function scopesOf(keys: string): string {
  return `case when ${keys}.admin and not 'admin' = any(${keys}.scopes) then ${keys}.scopes || '{keys:write,admin}' else ${keys}.scopes end`
}

/** `pepper` for digests of API keys, `sealing` for secrets at rest. */
export interface KeyRing {
  pepper: Buffer
  sealing: Buffer
  previous?: KeyRing
}

export interface NewKey {
  accountId: string
  name: string
  admin?: boolean
  expiresAt?: Date | null | undefined
}

interface StoredKey extends NewKey {
  key: string
  scopes?: readonly Scope[]
  models?: ModelRules | null
  ipAllow?: readonly string[] | null
  limits?: Limits | null
  rotatedFrom?: string | null
}

/** Who is calling. */
export interface Caller extends Standing {
  accountId: string
  keyId: string
  keyName: string
  scopes: readonly Scope[]
  /** Which of the models that the plan allows; null: all of them. */
  models: ModelRules | null
  /** From where it may call; null: from anywhere. */
  ipAllow: readonly string[] | null
  /** Of the key, on top of those of its account. */
  limits: Limits | null
}

type CallerRow = Omit<Caller, keyof Standing> & StandingRow & { digest: Buffer }

/** A caller, and the digest that is theirs. */
export interface FoundCaller {
  digest: Buffer
  caller: Caller
}
