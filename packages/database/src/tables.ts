import type { BatchStatus } from '@millrace/contract/batch'
import type { BudgetPeriod, BudgetScope, BudgetThreshold } from '@millrace/contract/budget'
import type { Limits, ModelRules, PlanSettings } from '@millrace/contract/plan'
import type { Priority } from '@millrace/contract/priorities'
import type { Status } from '@millrace/contract/statuses'
import type { AccountEventName } from '@millrace/contract/webhook-events'
import type { ColumnType, Generated, JSONColumnType } from 'kysely'

/**
 * The rows as code sees them. Written by hand, since codegen cannot know the domain's types; a test compares it with
 * the migrated schema. `json` columns are read parsed and written as text.
 */
export interface Tables {
  accounts: {
    id: string
    name: string
    created_at: Generated<Date>
    suspended_at: Date | null
    retention_files_days: number | null
    retention_data_days: number | null
    plan: Generated<string>
    weight: Generated<number>
    over_limit: 'queue' | 'refuse' | null
  }
  plans: PlanTable
  api_keys: {
    id: string
    account_id: string
    name: string
    prefix: string
    digest: Buffer
    admin: Generated<boolean>
    created_at: Generated<Date>
    expires_at: Date | null
    revoked_at: Date | null
    scopes: Generated<string[]>
    models: Json<ModelRules | null>
    ip_allow: string[] | null
    limits: Json<Limits | null>
    last_used_at: Date | null
    rotated_from: string | null
  }
  audit_log: AuditTable
  balances: BalanceTable
  ledger_entries: LedgerEntryTable
  budgets: BudgetTable
  account_events: {
    id: string
    account_id: string
    name: AccountEventName
    data: Json<unknown>
    created_at: Generated<Date>
  }
  call_holds: {
    id: string
    account_id: string
    key_id: string | null
    amount: number
    budgets: Json<CountedIn[] | null>
    alive_at: Generated<Date>
    owner: string | null
  }
  predictions: PredictionTable
  runs: RunTable
  rate_windows: {
    name: string
    starts: Generated<number[]>
    counts: Generated<number[]>
    until: Generated<Date>
  }
  prediction_events: {
    prediction_id: string
    seq: number
    kind: EventKind
    attempt: number
    data: string
    created_at: Date
  }
  outcomes: {
    account_id: string
    prediction_id: string
    status: string
    model: string
    seq: Generated<number | null>
  }
  removed_predictions: RemovedPredictionTable
  usage_totals: UsageTotalTable
  usage_state: {
    alone: Generated<boolean>
    rolled: Generated<number>
    filled_predictions: Generated<string | null>
    filled_requests: Generated<string | null>
  }
  prediction_tags: { account_id: string; name: string; value: string; prediction_id: string }
  idempotency_keys: {
    account_id: string
    key: string
    fingerprint: Buffer
    prediction_id: string
    status_code: number
    created_at: Date
  }
  files: FileTable
  batches: BatchTable
  batch_lines: BatchLineTable
  requests: RequestTable
  stored_answers: StoredAnswerTable
  expiries: { prediction_id: string; due_at: Date }
  webhook_endpoints: EndpointTable
  signing_secrets: {
    id: string
    account_id: string
    endpoint_id: string | null
    sealed: Buffer
    created_at: Generated<Date>
    retires_at: Date | null
  }
  webhook_bodies: { id: string; body: string }
  deliveries: DeliveryTable
  /** Attempts that processes of 0.1 recorded; since then they are in their delivery's row. */
  delivery_attempts: {
    delivery_id: string
    attempt: number
    at: Date
    status_code: number | null
    duration_ms: number
    response: string | null
    error: string | null
  }
  /** The newest run times of a model, oldest first: seconds from claim to end. */
  run_times: { model: string; seconds: number[]; updated_at: Date }
  /** Who is up, and what it serves. */
  workers: { name: string; models: string[]; seen_at: Date }
  callbacks: {
    id: Generated<string>
    prediction_id: string
    attempt: number
    body: string
    created_at: Generated<Date>
  }
  hosts: {
    name: string
    failures: number
    failed_at: Date
    open_until: Date | null
    probed_until: Date | null
    reason: string
  }
  /** What `places_taken` is instead of. */
  places: { name: string; prediction_id: string; attempt: number }
  places_taken: { name: string; claim: Generated<string>; ids: string[]; attempts: number[] }
  migrations: { name: string; applied_at: Generated<Date> }
}

export interface PlanTable {
  name: string
  settings: Json<PlanSettings>
  created_at: Generated<Date>
  updated_at: Generated<Date>
}

/** An administrative act; append-only. */
export interface AuditTable {
  id: string
  created_at: Generated<Date>
  actor: 'key' | 'cli' | 'setup'
  key_id: string | null
  key_name: string | null
  actor_account_id: string | null
  ip: string | null
  request_id: string | null
  act: string
  target: string
  account_id: string | null
  before: Json<Record<string, unknown> | null>
  after: Json<Record<string, unknown> | null>
}

/** Money, in millionths of a credit. */
export interface BalanceTable {
  account_id: string
  balance: Generated<number>
  held: Generated<number>
}

/** One movement of money between two books: the account's own, and one of the house. */
export interface LedgerEntryTable {
  id: string
  account_id: string
  kind: 'topup' | 'charge' | 'refund' | 'debit'
  debit: Book
  credit: Book
  amount: number
  prediction_id: string | null
  call_id: string | null
  key_id: string | null
  model: string | null
  reason: string | null
  idempotency_key: string | null
  created_at: Generated<Date>
}

/** What an account lets itself spend in a time. Money in millionths of a credit. */
export interface BudgetTable {
  id: string
  account_id: string
  name: Generated<string>
  scope: BudgetScope
  key_ids: string[] | null
  tag_name: string | null
  tag_value: string | null
  period: BudgetPeriod
  hard_cap: number | null
  thresholds: JSONColumnType<BudgetThreshold[], string | undefined, string>
  credit_limit: Generated<boolean>
  /** The counts are those of the period that began then. */
  period_start: Date
  held: Generated<number>
  spent: Generated<number>
  created_at: Generated<Date>
  updated_at: Generated<Date>
}

/** A budget that a hold counts in, by the period in which it was asked for. */
export interface CountedIn {
  id: string
  since: string
}

export type Book = 'account' | 'revenue' | 'funding'

export interface PredictionTable {
  id: string
  account_id: string
  model: string
  model_type: string
  /** The id of the model's state in the catalogue when it was accepted. */
  version: string | null
  status: Status
  attempt: number
  stream: boolean
  source: 'api' | 'cli' | 'web'
  input: Json<Record<string, unknown>>
  sealed_input: Buffer | null
  output: Json<unknown>
  error: string | null
  error_id: string | null
  webhook: Json<PredictionWebhook | null>
  tags: Json<Record<string, string>>
  files: Json<PredictionFile[]>
  timeouts: Json<PredictionTimeouts>
  created_at: Date
  updated_at: Date
  started_at: Date | null
  completed_at: Date | null
  cancel_requested_at: Date | null
  deleted_at: Date | null
  expired_at: Date | null
  priority: Generated<Priority>
  run_at: Date | null
  expires_in: number | null
  cold_boot: boolean | null
  served_by: string | null
  retention: Json<Retention | null>
  key_id: string | null
  held: Generated<number>
  charged: Generated<number>
  request_id: string | null
}

/** What is known of a prediction once it was deleted. */
export interface RemovedPredictionTable {
  id: string
  account_id: string
  key_id: string | null
  request_id: string | null
  model: string
  served_by: string | null
  status: Status
  error_id: string | null
  source: string
  tags: Json<Record<string, string>>
  charged: Generated<number>
  input_tokens: number | null
  output_tokens: number | null
  created_at: Date
  started_at: Date | null
  completed_at: Date | null
  seq: number | null
}

/** What ended within an hour or a day, by what it was. */
export interface UsageTotalTable {
  account_id: string
  span: 'hour' | 'day' | 'tag'
  at: Date
  tag_name: string | null
  tag_value: string | null
  kind: string
  model: string
  key_id: string | null
  total: number
  succeeded: number
  failed: number
  cancelled: number
  ms: number
  input_tokens: number
  output_tokens: number
  credits: number
  buckets: number[]
  counts: number[]
}

export interface RunTable {
  prediction_id: string
  account_id: string
  model: string
  pool: string
  attempt: Generated<number>
  crashes: Generated<number>
  run_at: Date
  worker: string | null
  /** Of a begun run that nobody holds: since when, as far as a sweep has noticed. */
  lease_until: Date | null
  event_seq: Generated<number>
  appended: Generated<string>
  progress: number | null
  cancel_requested_at: Date | null
  start_by: Date
  run_by: Date | null
  /** The index of its priority in `priorities`. */
  priority: Generated<number>
  turn: Generated<Date>
  parked_until: Date | null
  expires_at: Date | null
  job: JSONColumnType<KeptJob | null, string | null, string | null>
  tries: Generated<number>
  rerun: Generated<boolean>
  auto_fallback: Generated<boolean>
  asked: string | null
  key_id: string | null
  hold: Generated<number>
  budgets: Json<CountedIn[] | null>
  price: Json<Record<string, unknown> | null>
  /** The key, where only so many of its predictions may run at a time; else the zero uuid. */
  lane: Generated<string>
}

/** What a host calls a job of its own, and where that means something. */
export interface KeptJob {
  model: string
  /** Undefined where the model has no host. */
  host?: string | undefined
  /** The one that kept it, whose address its host may report to. */
  attempt: number
  job: Record<string, unknown>
}

export interface FileTable {
  id: string
  account_id: string
  prediction_id: string | null
  purpose: string
  name: string
  content_type: string
  bytes: number
  created_at: Generated<Date>
  expires_at: Date | null
}

export interface BatchTable {
  id: string
  account_id: string
  key_id: string | null
  endpoint: string | null
  input_file_id: string
  completion_window: string
  metadata: Json<Record<string, string>>
  status: BatchStatus
  errors: Json<BatchError[] | null>
  total: Generated<number>
  completed: Generated<number>
  failed: Generated<number>
  read_lines: Generated<number>
  read_bytes: Generated<number>
  output_file_id: string | null
  error_file_id: string | null
  idempotency_key: string | null
  fingerprint: Buffer | null
  worker: string | null
  lease_until: Date | null
  created_at: Generated<Date>
  expires_at: Date
  in_progress_at: Date | null
  cancelling_at: Date | null
  late_at: Date | null
  finalizing_at: Date | null
  ended_at: Date | null
}

/** What is wrong with a batch's file; `line` from 1. */
export interface BatchError {
  code: string
  message: string
  param: string | null
  line: number | null
}

export interface BatchLineTable {
  batch_id: string
  line: number
  custom_id: string
  at: number
  bytes: number
  prediction_id: string
  state: Generated<'taken' | 'running' | 'completed' | 'failed'>
  answer: Json<BatchLineAnswer | null>
}

/** A reply as it would have come over HTTP, or why there was none. */
export type BatchLineAnswer = { status_code: number; body: unknown } | { code: string; message: string }

/** A call for inference. */
export interface RequestTable {
  id: string
  account_id: string
  request_id: string
  key_id: string | null
  key_name: string | null
  surface: RequestSurface
  model: string
  served_model: string | null
  host: string | null
  tries: Json<RequestTry[] | null>
  stream: boolean
  status: RequestStatus
  http_status: number | null
  error_id: string | null
  failure: string | null
  input_tokens: number | null
  output_tokens: number | null
  estimated: Generated<boolean>
  first_byte_ms: number | null
  duration_ms: number | null
  started_at: Date
  alive_at: Date | null
  ended_at: Date | null
  credits: Generated<number>
  seq: number | null
  lost_seq: number | null
}

/** The way in which inference was asked for. */
export type RequestSurface = 'chat' | 'responses' | 'embeddings' | 'messages' | 'run'

/** `timeout`: nobody answered in time; `cancelled`: the client had gone. */
export type RequestStatus = 'running' | 'succeeded' | 'failed' | 'timeout' | 'cancelled'

/** A host that was asked, and what it failed with where it did. */
export interface RequestTry {
  host: string
  model: string
  ms: number
  fault?: string | undefined
}

export interface StoredAnswerTable {
  id: string
  account_id: string
  surface: 'chat' | 'responses'
  model: string
  previous_id: string | null
  request: Json<Record<string, unknown>>
  answer: Json<Record<string, unknown>>
  created_at: Generated<Date>
  expires_at: Date
}

export interface EndpointTable {
  id: string
  account_id: string
  url: string
  events: string[]
  format: 'envelope' | 'prediction' | 'thin'
  description: Generated<string>
  headers: JSONColumnType<Record<string, string>, string | undefined, string>
  active: Generated<boolean>
  disabled_reason: string | null
  failing_since: Date | null
  created_at: Generated<Date>
  updated_at: Generated<Date>
}

export interface DeliveryTable {
  id: string
  account_id: string
  /** What it is in the order of: a prediction; of an event of an account, the event itself. */
  prediction_id: string
  endpoint_id: string | null
  url: string
  host: string
  event: string
  seq: number
  body_id: string
  state: Generated<'due' | 'sending' | 'delivered' | 'exhausted' | 'dropped'>
  attempt: Generated<number>
  due_at: Date
  lease_until: Date | null
  created_at: Date
  completed_at: Date | null
  attempts: JSONColumnType<Record<string, DeliveryAttempt>, string | undefined, string>
}

/** A request that was made for a delivery. The column has them by their numbers, so that none is there twice. */
export interface DeliveryAttempt {
  at: string
  status_code: number | null
  duration_ms: number
  /** The first 2 KB of the answer. */
  response: string | null
  error: string | null
}

/** A stored file that belongs to a prediction; its marker in input or output stands for it. */
export interface PredictionFile {
  id: string
  name: string
  type: string
  size: number
  role: 'input' | 'output'
}

/** A prediction's own webhook, in its caller's spelling of the events. */
export interface PredictionWebhook {
  url: string
  events: string[]
}

/** Seconds until a worker must have begun, and that a run may take. */
export interface PredictionTimeouts {
  start: number
  run: number
}

/** Days, fractions included, that files and values are kept; the service's own time where there is none. */
export interface Retention {
  files_days?: number | undefined
  data_days?: number | undefined
}

export type EventKind = 'status' | 'output' | 'log' | 'progress'
type Json<T> = ColumnType<T, string, string>
