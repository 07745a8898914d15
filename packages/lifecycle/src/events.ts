import type { Database } from '@millrace/database/connect'
import { retryConflicts } from '@millrace/database/faults'
import { timeOfId } from '@millrace/database/ids'
import type { EventKind } from '@millrace/database/tables'

/**
 * Appends events under the fence: each gets the next `seq` of its prediction; those of a lost attempt are dropped
 * without a trace. A `progress` event also becomes the run's shown progress. May be repeated when the answer was lost:
 * what has been appended already is known by its `batch`.
 */
export async function appendEvents(db: Database, events: NewEvent[]): Promise<void> {
  const counted = new Map<string, number>()
  const numbered = events.map((event) => {
    const run = `${event.id} ${event.attempt}`
    const nth = (counted.get(run) ?? 0) + 1
    counted.set(run, nth)
    return { ...event, nth }
  })
  await retryConflicts(() =>
    db.pool.query({ name: 'append-events', text: statement, values: [JSON.stringify(numbered)] }),
  )
}

/**
 * The events of a prediction after `seq`, in order, at most `limit`. The first one says that it is pending, as every
 * prediction once was: its row is the record of that, so it is not stored as an event besides.
 */
export async function readEvents(db: Database, id: string, seq: number, limit = 200): Promise<StoredEvent[]> {
  const stored = await db.kysely
    .selectFrom('prediction_events')
    .select(['seq', 'kind', 'attempt', 'data', 'created_at'])
    .where('prediction_id', '=', id)
    .where('seq', '>', seq)
    .orderBy('seq')
    .limit(limit)
    .execute()
  if (seq >= firstSeq || stored[0]?.seq === firstSeq) return stored
  const first = { seq: firstSeq, kind: 'status', attempt: 0, data: '{"status":"pending"}' } as const
  return [{ ...first, created_at: new Date(timeOfId(id)) }, ...stored].slice(0, limit)
}

/** That of `pending`; see the default of runs.event_seq. */
const firstSeq = 1

const statement = `
  with incoming as materialized (
    select * from json_to_recordset($1)
      as i(id uuid, attempt integer, kind text, data text, batch integer, nth integer)
  ), counts as materialized (
    select id, attempt, max(nth) as count, (attempt::bigint << 32) + max(batch) as append,
           max(case when kind = 'progress' then data::real end) as progress
    from incoming group by id, attempt order by id
  ), held as materialized (
    select r.prediction_id, r.attempt from runs r join counts c on r.prediction_id = c.id and r.attempt = c.attempt
    where r.appended < c.append
      -- else it is planned as a scan of all runs
      and r.prediction_id = any(array(select id from counts))
    order by r.prediction_id for update of r
  ), bumped as (
    update runs r
    set event_seq = r.event_seq + c.count, appended = c.append, progress = coalesce(c.progress, r.progress)
    from counts c join held on held.prediction_id = c.id and held.attempt = c.attempt
    where r.prediction_id = c.id
    returning r.prediction_id, r.attempt, r.event_seq - c.count as base
  )
  insert into prediction_events (prediction_id, seq, kind, attempt, data, created_at)
  select i.id, bumped.base + i.nth, i.kind, i.attempt, i.data, clock_timestamp()
  from incoming i join bumped on bumped.prediction_id = i.id and bumped.attempt = i.attempt`

export interface NewEvent {
  id: string
  attempt: number
  kind: Exclude<EventKind, 'status'>
  data: string
  /** Numbers the appends of this attempt: rising from 1, the same for all events of one append. */
  batch: number
}

export interface StoredEvent {
  seq: number
  kind: EventKind
  attempt: number
  data: string
  created_at: Date
}
