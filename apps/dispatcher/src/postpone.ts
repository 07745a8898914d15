import type { Connection, Database } from '@millrace/database/connect'
import { retryConflicts } from '@millrace/database/faults'
import { rangeOf } from '@millrace/lifecycle/id-range'
import type { Saturation } from './load.ts'
import type { Recorded } from './record.ts'

/**
 * Moves what is due, but waits for the retry of an earlier event, to that retry, or to where the first minute of the
 * earlier one ends: a target that fails at volume would else fill every look with what cannot be sent. Nothing is moved
 * behind the moment at which it may be sent. Answers how many were moved.
 */
export async function postponeWaiting(
  db: Database,
  { fullAccounts, closedPairs }: Saturation,
): Promise<number> {
  const { rows: waiting } = await db.pool.query<{ id: string; until: Date }>({
    name: 'look-for-waiting',
    text: waitingStatement,
    values: [fullAccounts, closedPairs, atOnce],
  })
  if (waiting.length === 0) return 0
  const ids = waiting.map(({ id }) => id)
  const values = [ids, ...rangeOf(ids), waiting.map(({ until }) => until)]
  const { rowCount } = await retryConflicts(() =>
    db.pool.query({ name: 'postpone', text: postponeStatement, values }),
  )
  return rowCount ?? 0
}

/** What waited for a delivery that failed before and is done now is due again. */
export async function recall(connection: Connection, results: Recorded[]): Promise<void> {
  const done = results.filter(({ delivery, verdict }) => delivery.attempt > 1 && verdict.state !== 'due')
  if (done.length === 0) return
  const ids = done.map(({ delivery }) => delivery.id)
  const [oldest] = rangeOf(done.map(({ delivery }) => delivery.prediction_id))
  const { rows } = await connection.query<{ id: string }>({
    name: 'look-for-postponed',
    text: postponedStatement,
    values: [ids, ...rangeOf(ids), oldest],
  })
  if (rows.length === 0) return
  const postponed = rows.map(({ id }) => id)
  const values = [postponed, ...rangeOf(postponed)]
  await connection.query({ name: 'recall', text: recallStatement, values })
}

/** Moved in one go: each costs a look-up and a write. */
const atOnce = 1_000

// What is tried for the first time comes not before its due_at, and what failed not before its retry, or holds nothing
// back from when it is a minute old. The bounds are those of claim-due.ts.
const waitingStatement = `
  with due as materialized (
    select id, prediction_id, endpoint_id, url, seq, created_at from deliveries
    where completed_at is null and due_at <= (select clock_timestamp()) and state = 'due' and attempt = 0
      and account_id <> all($1::uuid[]) and account_id || ' ' || host <> all($2::text[])
    order by due_at limit $3::integer
  )
  select d.id, e.until from due d cross join lateral (
    select max(case when e.attempt = 0 then e.due_at else least(e.due_at, e.created_at + interval '60 s') end) as until
    from deliveries e
    where e.prediction_id = d.prediction_id and e.seq < d.seq and e.state = 'due'
      and e.endpoint_id is not distinct from d.endpoint_id and (d.endpoint_id is not null or e.url = d.url)
      and e.id >= least(d.prediction_id, uuid_floor(d.created_at - interval '1 minute'))
      and e.id <= uuid_floor(d.created_at + interval '1 minute')
    offset 0) e
  where e.until > clock_timestamp()`

// Without a join, for the reason that the lifecycle's hold-runs.ts gives.
const postponeStatement = `
  update deliveries set due_at = ($4::timestamptz[])[array_position($1::uuid[], id)]
  where id = any($1::uuid[]) and id between $2 and $3 and state = 'due' and attempt = 0
    and due_at < ($4::timestamptz[])[array_position($1::uuid[], id)]`

const postponedStatement = `
  select d.id from deliveries e cross join lateral (
    select d.id from deliveries d
    where d.prediction_id = e.prediction_id and d.seq > e.seq and d.id >= $4
      and d.endpoint_id is not distinct from e.endpoint_id and (e.endpoint_id is not null or d.url = e.url)
      and d.state = 'due' and d.attempt = 0 and d.due_at > clock_timestamp()
    offset 0) d
  where e.id = any($1::uuid[]) and e.id between $2 and $3`

// created_at is the clock of another machine.
const recallStatement = `
  update deliveries set due_at = least(created_at, clock_timestamp())
  where id = any($1::uuid[]) and id between $2 and $3 and state = 'due' and attempt = 0`
