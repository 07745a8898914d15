import type { Limits, ModelRules } from '@millrace/contract/plan'
import { type Scope, scopes, usualScopes } from '@millrace/contract/scopes'
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

/** Stores the digest of a key. */
export async function storeKey(
  connection: Connection,
  ring: KeyRing,
  { accountId, name, key, admin = false, expiresAt }: NewKey & { key: string },
): Promise<string> {
  const id = newId()
  await connection.query(
    `insert into api_keys (id, account_id, name, prefix, digest, admin, scopes, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      id,
      accountId,
      name,
      key.slice(0, 11),
      digest(key, ring.pepper),
      admin,
      admin ? scopes : usualScopes,
      expiresAt ?? null,
    ],
  )
  return id
}

/** Whose keys these are, by their digests, while they are neither revoked nor expired. */
export async function findCallers({ pool }: Database, digests: readonly Buffer[]): Promise<FoundCaller[]> {
  const { rows } = await pool.query<CallerRow>({
    name: 'find-callers',
    text: `select k.digest, k.account_id as "accountId", k.id as "keyId", k.name as "keyName", k.scopes, k.models, k.ip_allow as "ipAllow", k.limits,
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

/** An account's keys, oldest first; never their text. */
export async function listKeys(db: Database, accountId: string): Promise<KeyRow[]> {
  return db.kysely
    .selectFrom('api_keys')
    .select(['id', 'name', 'prefix', 'admin', 'created_at', 'expires_at', 'revoked_at'])
    .where('account_id', '=', accountId)
    .orderBy('id')
    .execute()
}

/** Revokes a key; false when there is no such key or it was revoked before. */
export async function revokeKey(db: Database, id: string): Promise<boolean> {
  const { rowCount } = await db.pool.query(
    'update api_keys set revoked_at = clock_timestamp() where id = $1 and revoked_at is null',
    [id],
  )
  return (rowCount ?? 0) > 0
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
  expiresAt?: Date | undefined
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

export interface KeyRow {
  id: string
  name: string
  prefix: string
  admin: boolean
  created_at: Date
  expires_at: Date | null
  revoked_at: Date | null
}
