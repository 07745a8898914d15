import { createAccount } from '@millrace/accounts/accounts'
import { storeSecret } from '@millrace/accounts/signing-secrets'
import type { Database } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { type DispatchOptions, startDispatch } from '@millrace/dispatcher/dispatch'
import { deriveKey } from '@millrace/keys/derive'
import { accept, type Draft } from '@millrace/lifecycle/accept'
import { begin } from '@millrace/lifecycle/begin'
import { claim } from '@millrace/lifecycle/claim'
import type { Lifecycle } from '@millrace/lifecycle/lifecycle'
import { settle } from '@millrace/lifecycle/settle'
import { createGuard } from '@millrace/outbound/guard'
import { createLog } from '@millrace/process/log'
import type { SubscribedEndpoint } from '@millrace/webhooks/write-deliveries'

export const masterKey = 'a master key for tests of the dispatcher'

export const ring = {
  pepper: deriveKey(masterKey, 'api-key-pepper'),
  sealing: deriveKey(masterKey, 'sealing'),
}

export const givenAccount = (db: Database): Promise<string> => createAccount(db, ring, `account ${newId()}`)

/** An accepted prediction; with `url`, its own webhook is subscribed to `events`. */
export async function givenPrediction(db: Database, accountId: string, given: Given = {}): Promise<string> {
  const { url, events = ['prediction.created', 'started', 'completed'] } = given
  const id = newId()
  const draft: Draft = {
    id,
    accountId,
    model: given.model ?? `model-${id}`,
    modelType: 'text',
    pool: 'default',
    stream: false,
    source: 'api',
    input: { text: 'hello' },
    sealedInput: null,
    webhook: url === undefined ? null : { url, events },
    tags: { team: 'red' },
    files: [],
    timeouts: { start: 3600, run: 3600 },
    priority: 'normal',
    runAt: null,
    expiresIn: null,
    autoFallback: true,
    retention: null,
    createdAt: new Date(),
    idempotency: null,
  }
  await accept(lifecycleOf(db), [draft])
  return id
}

/** A prediction that ran: created, started, succeeded, each owed to `url`. */
export async function givenSucceeded(db: Database, accountId: string, given: Given = {}): Promise<string> {
  const model = newId()
  const id = await givenPrediction(db, accountId, { ...given, model })
  const fence = await givenClaimed(db, model)
  await begin(lifecycleOf(db), [fence])
  await settle(lifecycleOf(db), [{ verb: 'succeed', ...fence, output: '"HELLO"', files: [] }])
  return id
}

export async function givenClaimed(db: Database, model: string): Promise<{ id: string; attempt: number }> {
  const [held] = await claim(lifecycleOf(db), { model, limit: 1, worker: 'a-worker', leaseSeconds: 60 })
  if (!held) throw new Error('There was nothing to claim')
  return { id: held.id, attempt: held.attempt }
}

/** An account endpoint with a secret of its own. */
export async function givenEndpoint(
  db: Database,
  accountId: string,
  url: string,
  headers = {},
  { events = ['*'], format = 'envelope' }: Partial<Pick<SubscribedEndpoint, 'events' | 'format'>> = {},
): Promise<string> {
  const id = newId()
  await db.kysely
    .insertInto('webhook_endpoints')
    .values({
      id,
      account_id: accountId,
      url,
      events,
      format,
      headers: JSON.stringify(headers),
    })
    .execute()
  await storeSecret(db.pool, ring, { accountId, endpointId: id })
  return id
}

export function lifecycleOf(db: Database): Lifecycle {
  return {
    db,
    links: { publicUrl: 'http://millrace.test', file: ({ id }) => `http://millrace.test/files/${id}` },
  }
}

export function dispatching(db: Database, options: Partial<DispatchOptions> = {}) {
  return startDispatch({
    db,
    claiming: db,
    guard: createGuard({ allow: [], loopback: true }),
    sealingKeys: [ring.sealing],
    slots: 64,
    timeoutMs: 5_000,
    log: createLog({ name: 'test', level: 'silent' }),
    ...options,
  })
}

/** All deliveries of a prediction in order, with their attempts. */
export async function deliveriesOf(db: Database, predictionId: string) {
  const deliveries = await db.kysely
    .selectFrom('deliveries')
    .selectAll()
    .where('prediction_id', '=', predictionId)
    .orderBy('seq')
    .execute()
  return deliveries.map((delivery) => ({
    ...delivery,
    attempts: Object.entries(delivery.attempts).map(([nth, attempt]) => ({
      attempt: Number(nth),
      ...attempt,
    })),
  }))
}

/** Moves the clock for the deliveries that wait: they are due now. */
export async function makeDue(db: Database, predictionId: string): Promise<void> {
  await db.pool.query(
    `update deliveries set due_at = clock_timestamp() where prediction_id = $1 and completed_at is null`,
    [predictionId],
  )
}

interface Given {
  url?: string
  events?: string[]
  model?: string
}
