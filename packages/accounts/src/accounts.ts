import { type Connection, type Database, transaction } from '@millrace/database/connect'
import { newId, toTypeId } from '@millrace/database/ids'
import { newApiKey } from '@millrace/keys/api-key'
import { microsPerCredit } from '@millrace/ledger/micro'
import { enter, topup } from '@millrace/ledger/move-credits'
import { digestsOf, type KeyRing, storeKey } from './api-keys.ts'
import { noteAct } from './audit.ts'
import { storeSecret } from './signing-secrets.ts'

/** Makes an account with its default webhook secret. Throws 23505 when the name (in any case) is taken. */
export async function createAccount(db: Database, ring: KeyRing, name: string): Promise<string> {
  return transaction(db, (client) => insertAccount(client, ring, { name }))
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
    const accountId = await insertAccount(client, ring, { name: 'default' })
    const { id: entryId } = await enter(client, {
      ...topup,
      id: newId(),
      account_id: accountId,
      amount: firstCredits * microsPerCredit,
      reason: firstReason,
    })
    const after = { amount: firstCredits, reason: firstReason }
    const act = { act: 'credits.topup', target: toTypeId('entry', entryId), accountId, after }
    await noteAct(client, { kind: 'setup' }, act)
    const adminId = await storeKey(client, ring, { accountId, name: 'admin', key: adminKey, admin: true })
    await noteLetIn(client, { accountId, id: adminId, name: 'admin' })
    const id = await storeKey(client, ring, { accountId, name: 'default', key: apiKey })
    await noteLetIn(client, { accountId, id, name: 'default' })
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
    const accountId = rows[0]?.id ?? (await insertAccount(client, ring, { name: 'default' }))
    const id = await storeKey(client, ring, { accountId, name, key, admin })
    await noteLetIn(client, { accountId, id, name })
  })
}

/** A key that no key and nobody at the command line made. */
async function noteLetIn(
  client: Connection,
  { accountId, id, name }: { accountId: string; id: string; name: string },
): Promise<void> {
  const act = { act: 'key.create', target: toTypeId('key', id), accountId, after: { name } }
  await noteAct(client, { kind: 'setup' }, act)
}

async function lockFirstAccount(connection: Connection): Promise<void> {
  await connection.query(`select pg_advisory_xact_lock(hashtext('millrace first account'))`)
}

/** Stores an account with its default webhook secret, and answers its id. Throws 23505 when the name is taken. */
export async function insertAccount(
  connection: Connection,
  ring: KeyRing,
  { name, plan = 'unlimited' }: { name: string; plan?: string },
): Promise<string> {
  const id = newId()
  await connection.query('insert into accounts (id, name, plan) values ($1, $2, $3)', [id, name, plan])
  await storeSecret(connection, ring, { accountId: id, endpointId: null })
  return id
}

/** On one's own machine nobody should meet a 402 before there are prices. */
const firstCredits = 1_000_000
const firstReason = 'For a first hour'
