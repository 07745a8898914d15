import { type Priority, priorities } from '@millrace/contract/priorities'
import type { Status } from '@millrace/contract/statuses'
import type { Query } from '@millrace/database/connect'
import { codeOf, faultOf } from '@millrace/database/faults'
import { ensurePartitions } from '@millrace/database/partitions'
import type { PredictionFile, Retention } from '@millrace/database/tables'
import { type Match, matchBudgets } from '@millrace/ledger/match-budgets'
import type { Price } from '@millrace/ledger/price'
import {
  acceptBudgeted,
  acceptFree,
  acceptPaid,
  acceptScarce,
  acceptTold,
  toldEndpoints,
  tooLittle,
} from './accept-statement.ts'
import { rangeOf } from './id-range.ts'
import type { Lifecycle } from './lifecycle.ts'
import { type OutboxRows, outboxRows, type SubscribedEndpoint } from './outbox.ts'
import type { PredictionRow } from './present.ts'

/**
 * Accepts many predictions, each in one statement: the credits held for it, the row, its run, its tags, its idempotency
 * key and the deliveries of `prediction.created`. Answers for each whether it was accepted: true, false where its key is
 * taken, or why its account or a budget of it cannot pay for it; of what is not accepted nothing is stored. Safe to repeat
 * with the same ids when the outcome of the first try is unknown: nothing is held twice, and what was accepted is not refused.
 *
 * Throws what the database says: 55P03 when a key is still being accepted elsewhere.
 */
export async function accept(lifecycle: Lifecycle, drafts: Draft[]): Promise<Verdict[]> {
  const verdicts = await acceptOnce(lifecycle, drafts)
  // Who stood behind a dearer neighbour of its batch may still be paid for.
  const again = drafts.filter(({ id, hold = 0 }) => {
    const verdict = verdicts.get(id)
    return typeof verdict === 'object' && hold <= verdict.available
  })
  if (again.length > 0) {
    const second = await accept(lifecycle, again)
    again.forEach(({ id }, index) => {
      verdicts.set(id, second[index] ?? false)
    })
  }
  return drafts.map(({ id }) => verdicts.get(id) ?? false)
}

/**
 * At first as if no account were told of creations, had a budget or too little, which is asked for in the same statement:
 * it leaves out those of which that is wrong, and they go again with what was looked up for them. So most wait for one
 * answer only.
 */
async function acceptOnce(lifecycle: Lifecycle, drafts: Draft[]): Promise<Map<string, Verdict>> {
  const unasked = accountsOf(drafts)
  const rows = await insert(lifecycle, drafts, { unasked }).catch((error: unknown) => {
    if (codeOf(error) !== tooLittle) throw error
    return drafts.map(({ id }): AnsweredRow => ({ ...nothing, id, unready: true }))
  })
  const unready = new Set(rows.flatMap(({ id, unready }) => (unready ? [id] : [])))
  if (unready.size > 0) {
    const again = drafts.filter(({ id }) => unready.has(id))
    const [endpoints, matches] = await Promise.all([
      createdEndpoints(lifecycle, again),
      matchBudgets(lifecycle.db.pool, again.filter(isPaid)),
    ])
    rows.push(...(await insert(lifecycle, again, { endpoints, matches })))
  }
  const answered = rows.filter((row) => !row.unready)
  const verdicts = new Map(answered.map((row) => [row.id, verdictOf(row)]))
  const refused = answered.flatMap(({ id, available }) => (available === null ? [] : [id]))
  for (const id of await findAccepted(lifecycle, refused)) verdicts.set(id, true)
  return verdicts
}

const nothing = { available: null, in_debt: false, budget_id: null }

async function insert(lifecycle: Lifecycle, drafts: Draft[], lookedUp: LookedUp): Promise<AnsweredRow[]> {
  const { db, links } = lifecycle
  const { unasked = [], endpoints } = lookedUp
  const outbox = outboxRows(
    links,
    drafts.map(rowOf).map((row) => ({
      row,
      seq: 1,
      event: 'prediction.created',
      endpoints: endpoints?.get(row.account_id) ?? null,
    })),
  )
  const parameters = [JSON.stringify(drafts.map(parameterOf)), ...outboxParameters(outbox), unasked]
  const query = () => db.pool.query<AnsweredRow>(statementFor(drafts, lookedUp, parameters))
  const { rows } = await query().catch(async (error: unknown) => {
    if (faultOf(error) !== 'no-partition') throw error
    await ensurePartitions(db.pool, lifecycle.partitions ?? 'month')
    return query()
  })
  return rows
}

function statementFor(drafts: Draft[], { unasked, matches = [] }: LookedUp, parameters: unknown[]): Query {
  if (matches.length > 0) return { ...acceptBudgeted, values: [...parameters, JSON.stringify(matches)] }
  const [first, second] = drafts.some(isPaid) ? [acceptPaid, acceptScarce] : [acceptFree, acceptTold]
  return { ...(unasked ? first : second), values: parameters }
}

const accountsOf = (drafts: Draft[]): string[] => [...new Set(drafts.map(({ accountId }) => accountId))]

const isPaid = ({ hold = 0 }: Draft): boolean => hold > 0

function verdictOf({ available, in_debt: inDebt, budget_id: budgetId }: AnsweredRow): Verdict {
  if (available === null) return true
  if (budgetId !== null) return { errorId: 'BUDGET_EXCEEDED', available, budgetId }
  return { errorId: inDebt ? 'PAYMENT_REQUIRED' : 'INSUFFICIENT_CREDITS', available }
}

/** Who repeats what it had no answer to may have been accepted the first time, and holds the credits that it misses. */
async function findAccepted({ db }: Lifecycle, ids: string[]): Promise<string[]> {
  if (ids.length === 0) return []
  const { rows } = await db.pool.query<{ id: string }>({
    name: 'find-accepted',
    text: 'select id from predictions where id = any($1::uuid[]) and id between $2 and $3',
    values: [ids, ...rangeOf(ids)],
  })
  return rows.map(({ id }) => id)
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
    held: draft.hold ?? 0,
    charged: 0,
    request_id: draft.requestId ?? null,
  }
}

async function createdEndpoints(
  { db }: Lifecycle,
  drafts: Draft[],
): Promise<Map<string, SubscribedEndpoint[]>> {
  const { rows } = await db.pool.query<SubscribedEndpoint & { account_id: string }>({
    name: 'created-endpoints',
    text: `select id, account_id, url, events, format ${toldEndpoints('$1')}`,
    values: [accountsOf(drafts)],
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
    hold: draft.hold ?? 0,
    price: draft.price ? JSON.stringify(draft.price) : null,
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
  /** What is set aside for it, in micros; nothing unless it is told. */
  hold?: number
  /** What it is charged by when it ends. */
  price?: Price | null
}

/** Accepted; its idempotency key is taken; or refused, with what its account has left, in micros. */
export type Verdict = boolean | Refusal

/** An account cannot pay for what it asks for, or does not let itself: `available` is what it or its budget has left. */
export type Refusal = { available: number } & (
  | { errorId: 'INSUFFICIENT_CREDITS' | 'PAYMENT_REQUIRED' }
  | { errorId: 'BUDGET_EXCEEDED'; budgetId: string }
)

/** What was looked up for the accounts of the drafts, or those accounts: they are left out where there is something to look up. */
type LookedUp =
  | { unasked: string[]; endpoints?: undefined; matches?: undefined }
  | { unasked?: undefined; endpoints: ReadonlyMap<string, SubscribedEndpoint[]>; matches: Match[] }

interface AnsweredRow {
  id: string
  /** Null where it was accepted. */
  available: number | null
  in_debt: boolean
  /** The budget that it does not fit into. */
  budget_id: string | null
  /** Nothing was decided yet: its account is told of creations, has budgets or may have too little. */
  unready: boolean
}
