import { type Connection, type Database, transaction } from '@millrace/database/connect'
import { newId, toTypeId } from '@millrace/database/ids'
import { seal, unseal } from '@millrace/keys/seal'
import { newSecret } from '@millrace/webhooks/sign'
import type { KeyRing } from './api-keys.ts'
import { type Actor, noteAct } from './audit.ts'

/** Hours that the old secret signs beside the new one after a rotation. */
export const overlapHours = 24

/** Makes the current secret of an endpoint, or of the account's per-request webhooks (`endpointId` null). */
export async function storeSecret(connection: Connection, ring: KeyRing, owner: SecretOwner): Promise<void> {
  await connection.query(
    'insert into signing_secrets (id, account_id, endpoint_id, sealed) values ($1, $2, $3, $4)',
    [newId(), owner.accountId, owner.endpointId, seal(newSecret(), ring.sealing)],
  )
}

/** The secrets that sign now, the current one first, and when the one before it retires. */
export async function readSecrets(db: Database, ring: KeyRing, owner: SecretOwner): Promise<Secrets> {
  const { rows } = await db.pool.query<{ sealed: Buffer; retires_at: Date | null }>(
    `select sealed, retires_at from signing_secrets
     where account_id = $1 and endpoint_id is not distinct from $2::uuid
       and (retires_at is null or retires_at > clock_timestamp())
     order by retires_at desc nulls first`,
    [owner.accountId, owner.endpointId],
  )
  return {
    secrets: rows.map(({ sealed }) =>
      unseal(sealed, [ring.sealing, ...(ring.previous ? [ring.previous.sealing] : [])]),
    ),
    previousRetiresAt: rows.find(({ retires_at }) => retires_at !== null)?.retires_at ?? null,
  }
}

/** Whether what this database holds sealed opens with these keys; true as long as it holds nothing. */
export async function opensSecrets(db: Database, ring: KeyRing): Promise<boolean> {
  const { rows } = await db.pool.query<{ account_id: string; endpoint_id: string | null }>(
    'select account_id, endpoint_id from signing_secrets where retires_at is null order by id limit 1',
  )
  const [first] = rows
  if (!first) return true
  return readSecrets(db, ring, { accountId: first.account_id, endpointId: first.endpoint_id }).then(
    () => true,
    () => false,
  )
}

/**
 * Makes a new current secret; the old one signs as well for 24 hours more. Of an endpoint that was deleted meanwhile
 * there is none.
 */
export async function rotateSecret(
  db: Database,
  ring: KeyRing,
  owner: SecretOwner,
  actor: Actor,
): Promise<Secrets> {
  await transaction(db, async (client) => {
    // Two rotations at once: the second retires what the first has made.
    await client.query('select 1 from accounts where id = $1 for no key update', [owner.accountId])
    // Before its secrets, as a deletion locks them.
    const endpoint = 'select 1 from webhook_endpoints where id = $1 for key share'
    const isGone = async () => (await client.query(endpoint, [owner.endpointId])).rowCount === 0
    if (owner.endpointId !== null && (await isGone())) return
    await client.query(
      `update signing_secrets set retires_at = clock_timestamp() + make_interval(hours => $3)
       where account_id = $1 and endpoint_id is not distinct from $2::uuid and retires_at is null`,
      [owner.accountId, owner.endpointId, overlapHours],
    )
    await storeSecret(client, ring, owner)
    await noteAct(client, actor, {
      act: 'webhook.secret.rotate',
      target: owner.endpointId === null ? 'default' : toTypeId('whe', owner.endpointId),
      accountId: owner.accountId,
    })
  })
  return readSecrets(db, ring, owner)
}

export interface SecretOwner {
  accountId: string
  endpointId: string | null
}

export interface Secrets {
  secrets: string[]
  previousRetiresAt: Date | null
}
