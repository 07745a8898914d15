import type { ApiKey } from '@millrace/contract/key'
import { databaseNow } from '@millrace/database/clock'
import type { Database } from '@millrace/database/connect'
import { toTypeId } from '@millrace/database/ids'
import { type Found, findPage, type Page } from '@millrace/database/page'
import { creditLimitOf } from '@millrace/ledger/key-credits'
import { scopesOf } from './api-keys.ts'
import type { KeySettings } from './key-bounds.ts'

/** A page of an account's keys, newest first. */
export function pageKeys({ pool }: Database, accountId: string, page: Page): Promise<Found<KeyRow>> {
  return findPage(
    page,
    async ({ above, below, order, limit, offset }) => {
      const { rows } = await pool.query<KeyRow>(
        `select ${keyColumns} from api_keys where account_id = $1 and id > $2 and id < $3 order by id ${order} limit $4 offset $5`,
        [accountId, above, below, limit, offset],
      )
      return rows
    },
    async () => {
      const counted = 'select count(*)::int as keys from api_keys where account_id = $1'
      const { rows } = await pool.query<{ keys: number }>(counted, [accountId])
      return rows[0]?.keys ?? 0
    },
  )
}

/** An account's keys, oldest first; never their text. */
export async function listKeys({ pool }: Database, accountId: string): Promise<KeyRow[]> {
  const text = `select ${keyColumns} from api_keys where account_id = $1 order by id`
  return (await pool.query<KeyRow>(text, [accountId])).rows
}

/** An account's key; another's is none. */
export async function findKey(
  { pool }: Database,
  accountId: string,
  id: string,
): Promise<KeyRow | undefined> {
  const text = `select ${keyColumns} from api_keys where id = $1 and account_id = $2`
  return (await pool.query<KeyRow>(text, [id, accountId])).rows[0]
}

/** A key as the API shows it. */
export function presentKey(row: KeyRow): ApiKey {
  return {
    id: toTypeId('key', row.id),
    name: row.name,
    prefix: row.prefix,
    state: stateOf(row),
    scopes: [...row.scopes],
    models: row.models,
    ip_allow: row.ip_allow && [...row.ip_allow],
    limits: row.limits,
    credit_limit: row.credit_limit,
    created_at: row.created_at.toISOString(),
    expires_at: row.expires_at?.toISOString() ?? null,
    revoked_at: row.revoked_at?.toISOString() ?? null,
    last_used_at: row.last_used_at?.toISOString() ?? null,
    rotated_from: row.rotated_from === null ? null : toTypeId('key', row.rotated_from),
  }
}

function stateOf({ revoked_at: revokedAt, expires_at: expiresAt }: KeyRow): ApiKey['state'] {
  if (revokedAt) return 'revoked'
  return expiresAt && expiresAt.getTime() <= databaseNow() ? 'expired' : 'active'
}

/** For a statement on `api_keys`. Never the digest. */
export const keyColumns = `id, account_id, name, prefix, created_at, expires_at, revoked_at, models, ip_allow, limits, last_used_at,
  rotated_from, ${scopesOf('api_keys')} as scopes, ${creditLimitOf('api_keys')} as credit_limit`

/** A key without its digest. */
export interface KeyRow extends KeySettings {
  id: string
  account_id: string
  prefix: string
  created_at: Date
  revoked_at: Date | null
  last_used_at: Date | null
  rotated_from: string | null
}
