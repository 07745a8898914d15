import type { CreditLimit } from '@millrace/contract/budget'
import { databaseNow } from '@millrace/database/clock'
import { type Connection, type Database, transaction } from '@millrace/database/connect'
import { toTypeId } from '@millrace/database/ids'
import { newApiKey } from '@millrace/keys/api-key'
import { followRotation, setCreditLimit, TooManyBudgets } from '@millrace/ledger/key-credits'
import type { PoolClient } from 'pg'
import { type KeyRing, storeKey } from './api-keys.ts'
import { type Actor, changesOf, noteAct } from './audit.ts'
import { keyColumns as columns, type KeyRow } from './find-keys.ts'
import {
  KeyFault,
  type KeySettings,
  type KeyWishes,
  refuseBeyond,
  refuseScopes,
  settingsOf,
} from './key-bounds.ts'

/**
 * Makes a key for an account. `asking` is the key that wants it, which may give only what it has; without one the
 * operator wants it. Throws KeyFault, and 23503 for an account that does not exist.
 */
export function makeKey(
  db: Database,
  ring: KeyRing,
  actor: Actor,
  { accountId, asking, ...wishes }: MakeKey,
): Promise<MadeKey> {
  return transaction(db, async (client) => {
    const maker = asking === undefined ? undefined : await askingKey(client, asking)
    const settings = settingsOf(wishes, maker)
    if (maker) refuseBeyond(maker, settings)
    return insertKey(client, ring, actor, { accountId, settings, rotatedFrom: null, act: 'key.create' })
  })
}

/** Changes what is given of a key. Undefined where the account has no such key; throws KeyFault. */
export function changeKey(
  db: Database,
  actor: Actor,
  { accountId, id, asking, change }: ChangeKey,
): Promise<KeyRow | undefined> {
  return transaction(db, async (client) => {
    const was = await lockKey(client, accountId, id)
    if (!was) return undefined
    refuseRevoked(was)
    const wanted: KeySettings = { ...settingsIn(was), ...withoutUndefined(change) }
    await refuseBeyondBoth(client, asking, was, wanted)
    if (change.credit_limit !== undefined) await limitCredits(client, was.account_id, id, change.credit_limit)
    const { rows } = await client.query<KeyRow>(
      `update api_keys set name = $2, scopes = $3, admin = 'admin' = any($3::text[]), models = $4, ip_allow = $5, limits = $6, expires_at = $7
       where id = $1 returning ${columns}`,
      [id, ...valuesOf(wanted)],
    )
    const changes = changesOf(settingsIn(was), wanted)
    if (Object.keys(changes.after).length > 0)
      await noteAct(client, actor, {
        act: 'key.change',
        target: toTypeId('key', id),
        accountId: was.account_id,
        ...changes,
      })
    return rows[0]
  })
}

/**
 * Makes a key that may do what an old one may, which goes on for `overlapSeconds` at most. Undefined where the account has
 * no such key; throws KeyFault.
 */
export function rotateKey(
  db: Database,
  ring: KeyRing,
  actor: Actor,
  { accountId, id, asking, overlapSeconds = usualOverlapSeconds, expires_at: expiresAt }: RotateKey,
): Promise<MadeKey | undefined> {
  return transaction(db, async (client) => {
    const was = await lockKey(client, accountId, id)
    if (!was) return undefined
    refuseRevoked(was)
    const settings = { ...settingsIn(was), ...(expiresAt === undefined ? {} : { expires_at: expiresAt }) }
    if (settings.expires_at && settings.expires_at.getTime() <= databaseNow())
      throw new KeyFault('state', 'The key has expired. Say when the new one is to end.')
    await refuseBeyondBoth(client, asking, was, settings)
    const { rows } = await client.query<KeyRow>(
      `update api_keys set expires_at = least(expires_at, clock_timestamp() + make_interval(secs => $2)) where id = $1 returning ${columns}`,
      [id, overlapSeconds],
    )
    const made = await insertKey(client, ring, actor, {
      accountId: was.account_id,
      settings,
      rotatedFrom: id,
      act: 'key.rotate',
    })
    return { ...made, old: rows[0] }
  })
}

/**
 * Revokes a key; one that is revoked stays as it is. A key may revoke itself, and no key that may do more. Undefined where
 * there is no such key (of that account, where one is named); throws KeyFault.
 */
export function revokeKey(
  db: Database,
  actor: Actor,
  { accountId, id, asking }: Pick<ChangeKey, 'accountId' | 'id' | 'asking'>,
): Promise<KeyRow | undefined> {
  return transaction(db, async (client) => {
    const was = await lockKey(client, accountId, id)
    if (!was || was.revoked_at) return was
    if (asking !== undefined && asking !== id) refuseScopes(await askingKey(client, asking), was)
    const { rows } = await client.query<KeyRow>(
      `update api_keys set revoked_at = clock_timestamp() where id = $1 returning ${columns}`,
      [id],
    )
    await noteAct(client, actor, {
      act: 'key.revoke',
      target: toTypeId('key', id),
      accountId: was.account_id,
    })
    return rows[0]
  })
}

async function insertKey(client: Connection, ring: KeyRing, actor: Actor, made: InsertKey): Promise<MadeKey> {
  const { accountId, settings, rotatedFrom } = made
  await refuseTooMany(client, accountId)
  const key = newApiKey()
  const { expires_at: expiresAt, ip_allow: ipAllow, name, scopes, models, limits, credit_limit } = settings
  const stored = { accountId, key, name, scopes, models, ipAllow, limits, expiresAt, rotatedFrom }
  const id = await storeKey(client, ring, stored)
  if (rotatedFrom !== null) await followRotation(client, { accountId, from: rotatedFrom, to: id })
  else if (credit_limit) await limitCredits(client, accountId, id, credit_limit)
  await noteAct(client, actor, {
    act: made.act,
    target: toTypeId('key', id),
    accountId,
    after: { ...settings, ...(rotatedFrom === null ? {} : { rotated_from: toTypeId('key', rotatedFrom) }) },
  })
  const { rows } = await client.query<KeyRow>(`select ${columns} from api_keys where id = $1`, [id])
  const [row] = rows
  if (!row) throw new Error('A key that was just stored is not there')
  return { row, key }
}

/** Each key with a limit of its own has a line of its own, which every claim may have to look at. */
async function refuseTooMany(client: Connection, accountId: string): Promise<void> {
  const { rows } = await client.query(
    `select from api_keys where account_id = $1 and revoked_at is null
       and (expires_at is null or expires_at > clock_timestamp()) limit ${mostKeys}`,
    [accountId],
  )
  if (rows.length === mostKeys)
    throw new KeyFault('state', `An account has at most ${mostKeys} valid keys. Revoke some of them first.`)
}

const mostKeys = 1_000

async function refuseBeyondBoth(
  client: PoolClient,
  asking: string | undefined,
  was: KeyRow,
  wanted: KeySettings,
): Promise<void> {
  if (asking === undefined) return
  const own = await askingKey(client, asking)
  refuseScopes(own, was)
  refuseBeyond(own, wanted)
}

/** As it is now: what the api remembers of it may be a second old. */
async function askingKey(client: Connection, id: string): Promise<KeySettings> {
  const { rows } = await client.query<KeyRow>(`select ${columns} from api_keys where id = $1`, [id])
  const [row] = rows
  if (!row || row.revoked_at) throw new KeyFault('asking', 'The API key is not valid.')
  return settingsIn(row)
}

async function lockKey(
  client: Connection,
  accountId: string | undefined,
  id: string,
): Promise<KeyRow | undefined> {
  const { rows } = await client.query<KeyRow>(
    `select ${columns} from api_keys where id = $1 and ($2::uuid is null or account_id = $2) for no key update`,
    [id, accountId ?? null],
  )
  return rows[0]
}

async function limitCredits(
  client: Connection,
  accountId: string,
  keyId: string,
  limit: CreditLimit | null,
): Promise<void> {
  await setCreditLimit(client, { accountId, keyId, limit }).catch((error: unknown) => {
    if (!(error instanceof TooManyBudgets)) throw error
    throw new KeyFault('state', 'This account has as many budgets as it may, and a credit limit is one.')
  })
}

function refuseRevoked({ revoked_at: revokedAt }: KeyRow): void {
  if (revokedAt) throw new KeyFault('state', 'The key is revoked. Make a new one.')
}

function settingsIn({
  name,
  scopes,
  models,
  ip_allow,
  limits,
  credit_limit,
  expires_at,
}: KeyRow): KeySettings {
  return { name, scopes, models, ip_allow, limits, credit_limit, expires_at }
}

function valuesOf({ name, scopes, models, ip_allow, limits, expires_at }: KeySettings): unknown[] {
  return [name, scopes, inJson(models), ip_allow, inJson(limits), expires_at]
}

function inJson(value: object | null): string | null {
  return value && JSON.stringify(value)
}

function withoutUndefined<T extends object>(values: T): { [Name in keyof T]: Exclude<T[Name], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [Name in keyof T]: Exclude<T[Name], undefined> }
}

const usualOverlapSeconds = 86_400

/** A new key: its text is told this once. `old`: the one that it replaces, as it is now. */
export interface MadeKey {
  row: KeyRow
  key: string
  old?: KeyRow | undefined
}

interface MakeKey extends KeyWishes {
  accountId: string
  asking?: string | undefined
}

interface ChangeKey {
  /** Whose it must be; anybody's where it is the operator who asks. */
  accountId?: string | undefined
  id: string
  /** The id of the key that asks. */
  asking?: string | undefined
  change: Partial<KeyWishes>
}

interface RotateKey extends Pick<ChangeKey, 'accountId' | 'id' | 'asking'> {
  overlapSeconds?: number | undefined
  /** Of the new one; as the old one unless stated. */
  expires_at?: Date | null | undefined
}

interface InsertKey {
  accountId: string
  settings: KeySettings
  rotatedFrom: string | null
  act: string
}
