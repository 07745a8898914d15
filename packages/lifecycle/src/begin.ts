import { together, transaction } from '@millrace/database/connect'
import { retryConflicts } from '@millrace/database/faults'
import type { Fence } from './claim.ts'
import { holdRuns } from './hold-runs.ts'
import { rangeOf } from './id-range.ts'
import type { Lifecycle } from './lifecycle.ts'
import { endpointsOf, type MovedRow, movedColumns, postEvents, type SubscribedEndpoint } from './outbox.ts'
import { transitions } from './transitions.ts'

/**
 * The model is loaded and the run begins: starting becomes processing and the run's deadline starts. A re-run is
 * processing already and only gets a new deadline. Notes whether the model had to be started for it. Answers the row of each fence that still holds, else undefined.
 */
export async function begin(lifecycle: Lifecycle, fences: Beginning[]): Promise<(MovedRow | undefined)[]> {
  const rows = await retryConflicts(() =>
    transaction(lifecycle.db, async (client) => {
      const ids = fences.map(({ id }) => id)
      const values = [JSON.stringify(fences), ...rangeOf(ids), transitions.begin.from]
      const [, { rows }] = await together([
        holdRuns(client, ids),
        client.query<BegunRow>({ name: 'begin', text: statement, values }),
      ])
      const moves = rows.map((row) => ({
        row,
        event: row.first ? transitions.begin.event : null,
        seq: row.event_seq,
        endpoints: row.endpoints,
      }))
      const owing = await postEvents(client, lifecycle.links, moves)
      for (const row of rows) row.owes = owing.has(row.id)
      return rows
    }),
  )
  const byId = new Map(rows.map((row) => [row.id, row]))
  return fences.map(({ id }) => byId.get(id))
}

// Whether it is the first begin is read from the locked run, the one place that two begins at once agree on.
const statement = `
  with held as materialized (
    -- one by one: as a join it is planned as a scan of all runs
    select r.*, i."coldBoot" as cold_boot from json_to_recordset($1) as i(id uuid, attempt integer, "coldBoot" boolean), lateral (
      select prediction_id, attempt, run_by is null as first from runs where prediction_id = i.id and attempt = i.attempt limit 1
    ) r
  ), moved as (
    update predictions p
    set status = 'processing', cold_boot = held.cold_boot, started_at = coalesce(p.started_at, greatest(clock_timestamp(), p.created_at)),
        updated_at = greatest(clock_timestamp(), p.updated_at)
    from held
    where p.id = held.prediction_id and p.id between $2 and $3 and p.attempt = held.attempt
      and p.status = any($4::text[] || '{processing}')
    returning p.*, held.first
  ), timed as (
    update runs r
    set run_by = clock_timestamp() + make_interval(secs => (moved.timeouts ->> 'run')::integer),
        event_seq = r.event_seq + moved.first::integer
    from moved where r.prediction_id = moved.id
    returning r.prediction_id, r.event_seq
  ), told as (
    insert into prediction_events (prediction_id, seq, kind, attempt, data, created_at)
    select moved.id, timed.event_seq, 'status', attempt, '{"status":"processing"}', updated_at
    from moved join timed on timed.prediction_id = moved.id where moved.first
  )
  select ${movedColumns('moved')}, moved.first, timed.event_seq, ${endpointsOf('moved')} from moved join timed on timed.prediction_id = moved.id`

/** A run that begins. */
export type Beginning = Fence & {
  /** Whether its model had to be started; left out where nobody can tell. */
  coldBoot?: boolean | undefined
}

type BegunRow = MovedRow & { event_seq: number; first: boolean; endpoints: SubscribedEndpoint[] | null }
