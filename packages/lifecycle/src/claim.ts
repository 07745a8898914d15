import { type Database, transaction } from '@millrace/database/connect'
import { isUnreachable, retryConflicts, untilReachable } from '@millrace/database/faults'
import { columnsOf } from './columns.ts'
import { isFree } from './free-runs.ts'
import { rangeOf } from './id-range.ts'
import { type Lifecycle, maxAttempts } from './lifecycle.ts'
import { endpointsOf, type Moved, postEvents, type SubscribedEndpoint } from './outbox.ts'
import type { PredictionRow } from './present.ts'
import { renew } from './renew.ts'
import { transitions } from './transitions.ts'

/**
 * Takes up to `limit` free runs of `model` for `worker`, oldest first: the attempt rises, the lease runs from the
 * database's clock, and what was pending becomes starting. A run that somebody holds is not free, so a bell that rings
 * twice claims nothing the second time.
 */
export async function claim(lifecycle: Lifecycle, request: ClaimRequest): Promise<Claim[]> {
  const { model, limit, worker, leaseSeconds } = request
  let taken: ClaimedRow[] = []
  let answeredAt = 0
  const rows = await retryConflicts(() =>
    transaction(lifecycle.db, async (client) => {
      taken = []
      const picked = await client.query<{ prediction_id: string }>({
        name: 'pick',
        text: pickStatement,
        values: [model, limit, maxAttempts],
      })
      const ids = picked.rows.map((row) => row.prediction_id)
      if (ids.length === 0) return []
      const values = [ids, ...rangeOf(ids), worker, leaseSeconds]
      const { rows } = await client.query<ClaimedRow>({ name: 'claim', text: claimStatement, values })
      answeredAt = performance.now()
      await postEvents(client, lifecycle.links, rows.map(moveOf))
      taken = rows
      return rows
    }),
  ).catch((error: unknown) => {
    if (taken.length === 0 || !isUnreachable(error)) throw error
    return findOurs(lifecycle.db, taken, request)
  })
  return rows.map((row) => ({
    row,
    id: row.id,
    attempt: row.attempt,
    startBy: answeredAt + row.start_seconds * 1000,
    crashes: row.crashes,
  }))
}

/**
 * The connection broke while the claim was committed. What is ours by now shows in what can be renewed; unasked, it
 * would be run only after its lease, as if this worker had died under it.
 */
async function findOurs(
  db: Database,
  taken: ClaimedRow[],
  { worker, leaseSeconds }: ClaimRequest,
): Promise<ClaimedRow[]> {
  const fences = taken.map(({ id, attempt }) => ({ id, attempt }))
  const renewed = () => renew(db, { fences, worker, leaseSeconds })
  const ours = await untilReachable(renewed, leaseSeconds * 1000)
  return taken.filter(({ id }) => ours.has(id))
}

function moveOf(row: ClaimedRow): Moved {
  const event = row.first ? transitions.claim.event : transitions.reclaim.event
  return { row, event, seq: row.event_seq, endpoints: row.endpoints }
}

// Picking is a statement of its own for the reason that ./hold-runs.ts gives.
const pickStatement = `
  select prediction_id from runs
  where model = $1 and run_at <= clock_timestamp() and ${isFree('$3')}
  order by prediction_id limit $2
  for update skip locked`

const claimStatement = `
  with held as (
    update runs r
    set attempt = r.attempt + 1, worker = $4, lease_until = clock_timestamp() + make_interval(secs => $5),
        event_seq = r.event_seq + 1, progress = null,
        -- it has begun before, and gets a new deadline when it begins again
        run_by = case when r.run_by is not null then 'infinity'::timestamptz end
    where r.prediction_id = any($1::uuid[])
    returning r.prediction_id, r.attempt, r.event_seq, r.crashes,
      extract(epoch from r.start_by - clock_timestamp())::float8 as start_seconds
  ), moved as (
    update predictions p
    set status = case p.status when 'pending' then 'starting' else p.status end, attempt = held.attempt,
        updated_at = greatest(clock_timestamp(), p.updated_at)
    from held
    where p.id = held.prediction_id and p.id between $2 and $3
    returning ${columnsOf('p')}, held.event_seq, held.start_seconds, held.crashes, p.started_at is null and held.attempt = 1 as first
  ), told as (
    insert into prediction_events (prediction_id, seq, kind, attempt, data, created_at)
    select id, event_seq, 'status', attempt, json_build_object('status', status)::text, updated_at from moved
  )
  select moved.*, ${endpointsOf('moved')} from moved order by id`

export interface ClaimRequest {
  model: string
  limit: number
  worker: string
  leaseSeconds: number
}

/** A run that this worker holds. Every later write names `id` and `attempt`: that is the fence. */
export interface Claim extends Fence {
  row: PredictionRow
  /** When its time to start ends: what the database said is left, on this process's `performance.now()`. */
  startBy: number
  crashes: number
}

export interface Fence {
  id: string
  attempt: number
}

type ClaimedRow = PredictionRow & {
  event_seq: number
  start_seconds: number
  crashes: number
  first: boolean
  endpoints: SubscribedEndpoint[] | null
}
