import { type Priority, priorities } from '@millrace/contract/priorities'
import type { Status } from '@millrace/contract/statuses'
import { faultOf } from '@millrace/database/faults'
import { ensurePartitions } from '@millrace/database/partitions'
import type { PredictionFile, Retention } from '@millrace/database/tables'
import type { Lifecycle } from './lifecycle.ts'
import { type OutboxRows, outboxRows, type SubscribedEndpoint } from './outbox.ts'
import type { PredictionRow } from './present.ts'

/**
 * Accepts many predictions in one statement: the row, its run, its tags, its idempotency key and the
 * deliveries of `prediction.created`. Answers for each whether it was accepted; a keyed one whose key is taken is not,
 * and nothing of it is stored. Safe to repeat with the same ids when the outcome of the first try is unknown.
 *
 * Throws what the database says: 55P03 when a key is still being accepted elsewhere.
 */
export async function accept(lifecycle: Lifecycle, drafts: Draft[]): Promise<boolean[]> {
  const { db, links } = lifecycle
  const rows = drafts.map(rowOf)
  const endpoints = await createdEndpoints(lifecycle, drafts)
  const outbox = outboxRows(
    links,
    rows.map((row) => ({
      row,
      seq: 1,
      event: 'prediction.created',
      endpoints: endpoints.get(row.account_id) ?? null,
    })),
  )
  const parameters = [JSON.stringify(drafts.map(parameterOf)), ...outboxParameters(outbox)]
  const insert = () => db.pool.query<{ id: string }>({ name: 'accept', text: statement, values: parameters })
  const result = await insert().catch(async (error: unknown) => {
    if (faultOf(error) !== 'no-partition') throw error
    await ensurePartitions(db.pool, lifecycle.partitions ?? 'month')
    return insert()
  })
  const accepted = new Set(result.rows.map(({ id }) => id))
  return drafts.map(({ id }) => accepted.has(id))
}

/** The row as it will stand once accepted. */
export function rowOf(draft: Draft): PredictionRow {
  return {
    id: draft.id,
    account_id: draft.accountId,
    model: draft.model,
    model_type: draft.modelType,
    version: draft.version ?? null,
    status: 'pending' satisfies Status,
    attempt: 0,
    stream: draft.stream,
    source: draft.source,
    input: draft.input,
    sealed_input: draft.sealedInput,
    output: null,
    error: null,
    error_id: null,
    webhook: draft.webhook,
    tags: draft.tags,
    files: draft.files,
    timeouts: draft.timeouts,
    created_at: draft.createdAt,
    updated_at: draft.createdAt,
    started_at: null,
    completed_at: null,
    cancel_requested_at: null,
    deleted_at: null,
    expired_at: null,
    priority: draft.priority,
    run_at: draft.runAt,
    expires_in: draft.expiresIn,
    cold_boot: null,
    served_by: null,
    retention: draft.retention,
    key_id: draft.keyId ?? null,
    held: 0,
    charged: 0,
    request_id: draft.requestId ?? null,
  }
}

async function createdEndpoints(
  { db }: Lifecycle,
  drafts: Draft[],
): Promise<Map<string, SubscribedEndpoint[]>> {
  const accounts = [...new Set(drafts.map(({ accountId }) => accountId))]
  const { rows } = await db.pool.query<SubscribedEndpoint & { account_id: string }>({
    name: 'created-endpoints',
    text: `select id, account_id, url, events, format from webhook_endpoints
           where account_id = any($1::uuid[]) and active and 'prediction.created' = any(events)`,
    values: [accounts],
  })
  return Map.groupBy(rows, (row) => row.account_id)
}

function parameterOf(draft: Draft): Record<string, unknown> {
  return {
    id: draft.id,
    account_id: draft.accountId,
    key_id: draft.keyId ?? null,
    request_id: draft.requestId ?? null,
    model: draft.model,
    model_type: draft.modelType,
    namespace: draft.namespace ?? draft.model,
    version: draft.version ?? null,
    pool: draft.pool,
    stream: draft.stream,
    source: draft.source,
    input: JSON.stringify(draft.input),
    sealed_input: draft.sealedInput && `\\x${draft.sealedInput.toString('hex')}`,
    webhook: draft.webhook && JSON.stringify(draft.webhook),
    tags: JSON.stringify(draft.tags),
    files: JSON.stringify(draft.files),
    timeouts: JSON.stringify(draft.timeouts),
    retention: draft.retention && JSON.stringify(draft.retention),
    start_seconds: draft.timeouts.start,
    priority: draft.priority,
    lane: priorities.indexOf(draft.priority),
    run_at: draft.runAt?.toISOString() ?? null,
    expires_in: draft.expiresIn,
    auto_fallback: draft.autoFallback,
    created_at: draft.createdAt.toISOString(),
    key: draft.idempotency?.key ?? null,
    fingerprint: draft.idempotency && `\\x${draft.idempotency.fingerprint.toString('hex')}`,
    status_code: draft.idempotency?.statusCode ?? null,
  }
}

const outboxParameters = ({ bodies, deliveries }: OutboxRows): string[] => [
  JSON.stringify(bodies),
  JSON.stringify(deliveries),
]

const statement = `
  with incoming as materialized (
    select * from json_to_recordset($1) as i(
      id uuid, account_id uuid, key_id uuid, request_id text, model text, model_type text, namespace text, version text, pool text, stream boolean, source text, input text,
      sealed_input bytea, webhook text, tags text, files text, timeouts text, retention text, start_seconds integer,
      priority text, lane smallint, run_at timestamptz, expires_in integer, auto_fallback boolean,
      created_at timestamptz, key text, fingerprint bytea, status_code smallint)
  ), keys as (
    insert into idempotency_keys as k (account_id, key, fingerprint, prediction_id, status_code, created_at)
    select distinct on (account_id, key) account_id, key, fingerprint, id, status_code, created_at
    from incoming where key is not null
    order by account_id, key, id
    on conflict (account_id, key) do update
      set fingerprint = excluded.fingerprint, prediction_id = excluded.prediction_id,
          status_code = excluded.status_code, created_at = excluded.created_at
      where k.created_at < clock_timestamp() - interval '24 hours' or k.prediction_id = excluded.prediction_id
    returning prediction_id
  ), accepted as materialized (
    select * from incoming where key is null or id in (select prediction_id from keys)
  ), stored as (
    insert into predictions (id, account_id, key_id, request_id, model, model_type, version, status, stream, source, input, sealed_input, webhook,
                             tags, files, timeouts, retention, priority, run_at, expires_in, created_at, updated_at)
    select id, account_id, key_id, request_id, model, model_type, version, 'pending', stream, source, input::json, sealed_input, webhook::json,
           tags::json, files::json, timeouts::json, retention::json, priority, run_at, expires_in, created_at, created_at
    from accepted
    on conflict (id) do nothing
    returning id
  ), fresh as materialized (
    select a.* from accepted a join stored using (id)
  ), started as (
    -- what may not begin yet is parked; its time counts from when it may
    insert into runs (prediction_id, account_id, key_id, model, pool, priority, turn, run_at, parked_until, start_by, expires_at, auto_fallback)
    select id, account_id, key_id, namespace, pool, lane, t.moment, t.moment, case when t.moment = run_at then t.moment end,
           t.moment + make_interval(secs => least(start_seconds, expires_in)), t.moment + make_interval(secs => expires_in), auto_fallback
    from fresh, lateral (select greatest(clock_timestamp(), run_at) as moment) t
  ), expiring as (
    insert into expiries (prediction_id, due_at)
    select id, created_at + least((retention::json ->> 'files_days')::float8, (retention::json ->> 'data_days')::float8)
                            * interval '1 day'
    from fresh where retention is not null
  ), tagged as (
    insert into prediction_tags (account_id, name, value, prediction_id)
    select account_id, t.key, t.value, id from fresh, json_each_text(tags::json) t
  ), bodies as (
    insert into webhook_bodies (id, body)
    select b.id, b.body from json_to_recordset($2) as b(id uuid, body text)
    where b.id in (select d.body_id from json_to_recordset($3) as d(body_id uuid, prediction_id uuid)
                   join fresh on fresh.id = d.prediction_id)
  ), owed as (
    insert into deliveries (id, account_id, prediction_id, endpoint_id, url, host, event, seq, body_id, due_at, created_at)
    select d.id, d.account_id, d.prediction_id, d.endpoint_id, d.url, d.host, d.event, d.seq, d.body_id, clock_timestamp(), d.created_at
    from json_to_recordset($3) as d(id uuid, account_id uuid, prediction_id uuid, endpoint_id uuid, url text, host text,
                                    event text, seq integer, body_id uuid, created_at timestamptz)
    join fresh on fresh.id = d.prediction_id
  )
  select id from accepted`

/** A prediction that passed every check and waits to be stored. */
export interface Draft {
  id: string
  accountId: string
  /** The key it was asked with; none where a batch of an earlier version asks. */
  keyId?: string
  /** What the reply says in `x-request-id`. */
  requestId?: string
  /** The slug, as it was asked for. */
  model: string
  /** Under which its run is claimed, where that is another slug. */
  namespace?: string
  modelType: string
  /** The state of the model that its caller was shown. */
  version?: string
  pool: string
  stream: boolean
  source: 'api' | 'cli' | 'web'
  input: Record<string, unknown>
  sealedInput: Buffer | null
  webhook: { url: string; events: string[] } | null
  tags: Record<string, string>
  files: PredictionFile[]
  timeouts: { start: number; run: number }
  priority: Priority
  /** Not before; a time that has passed means now. */
  runAt: Date | null
  /** Seconds, from when it may begin, by which it must have. */
  expiresIn: number | null
  /** Its model's fallbacks may serve it. */
  autoFallback: boolean
  /** Null: as long as the service keeps things. */
  retention: Retention | null
  createdAt: Date
  idempotency: { key: string; fingerprint: Buffer; statusCode: number } | null
}
