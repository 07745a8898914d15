import { type Connection, type Database, transaction } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { newApiKey } from '@millrace/keys/api-key'
import { microsPerCredit } from '@millrace/ledger/micro'
import { enter, topup } from '@millrace/ledger/move-credits'
import { digestsOf, type KeyRing, storeKey } from './api-keys.ts'
import { storeSecret } from './signing-secrets.ts'

/** Makes an account with its default webhook secret. Throws 23505 when the name (in any case) is taken. */
export async function createAccount(db: Database, ring: KeyRing, name: string): Promise<string> {
  return transaction(db, (client) => insertAccount(client, ring, name))
}

/** The accounts, oldest first. */
export async function listAccounts(db: Database): Promise<AccountRow[]> {
  return db.kysely
    .selectFrom('accounts')
    .select(['id', 'name', 'created_at', 'retention_files_days', 'retention_data_days'])
    .orderBy('id')
    .execute()
}

/** Sets for how many days what the account makes from now on is kept at most; null: as long as the service does. */
export async function setRetention(
  db: Database,
  accountId: string,
  retention: Partial<Pick<AccountRow, 'retention_files_days' | 'retention_data_days'>>,
): Promise<void> {
  await db.kysely.updateTable('accounts').set(retention).where('id', '=', accountId).execute()
}

/**
 * Makes the first account with its admin key and its ordinary key where there is no account yet; safe to run twice at
 * once. It has ample credits. Keys that were given (or kept from an earlier start) are stored; missing ones are made. Answers the keys it
 * stored, or undefined when there was an account already.
 */
export async function ensureFirstAccount(
  db: Database,
  ring: KeyRing,
  { adminKey = newApiKey(), apiKey = newApiKey() }: { adminKey?: string; apiKey?: string } = {},
): Promise<{ adminKey: string; apiKey: string } | undefined> {
  return transaction(db, async (client) => {
    await lockFirstAccount(client)
    const { rows } = await client.query('select 1 from accounts limit 1')
    if (rows.length > 0) return undefined
    const accountId = await insertAccount(client, ring, 'default')
    await enter(client, {
      ...topup,
      id: newId(),
      account_id: accountId,
      amount: firstCredits * microsPerCredit,
      reason: 'For a first hour',
    })
    await storeKey(client, ring, { accountId, name: 'admin', key: adminKey, admin: true })
    await storeKey(client, ring, { accountId, name: 'default', key: apiKey })
    return { adminKey, apiKey }
  })
}

/**
 * Lets a key that is kept outside of the database in as one of the account `default`, unless it is known there already:
 * one that was revoked stays revoked. Safe to run twice at once.
 */
export async function ensureKey(
  db: Database,
  ring: KeyRing,
  { name, key, admin = false }: { name: string; key: string; admin?: boolean },
): Promise<void> {
  await transaction(db, async (client) => {
    await lockFirstAccount(client)
    const known = await client.query('select 1 from api_keys where digest = any($1::bytea[])', [
      digestsOf(ring, key),
    ])
    if (known.rows.length > 0) return
    const { rows } = await client.query<{ id: string }>(
      `select id from accounts where lower(name) = 'default'`,
    )
    const accountId = rows[0]?.id ?? (await insertAccount(client, ring, 'default'))
    await storeKey(client, ring, { accountId, name, key, admin })
  })
}

async function lockFirstAccount(connection: Connection): Promise<void> {
  await connection.query(`select pg_advisory_xact_lock(hashtext('millrace first account'))`)
}

async function insertAccount(connection: Connection, ring: KeyRing, name: string): Promise<string> {
  const id = newId()
  await connection.query('insert into accounts (id, name) values ($1, $2)', [id, name])
  await storeSecret(connection, ring, { accountId: id, endpointId: null })
  return id
}

/** On one's own machine nobody should meet a 402 before there are prices. */
const firstCredits = 1_000_000

export interface AccountRow {
  id: string
  name: string
  created_at: Date
  retention_files_days: number | null
  retention_data_days: number | null
}
