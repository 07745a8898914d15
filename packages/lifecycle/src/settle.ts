import { together, transaction } from '@millrace/database/connect'
import { retryConflicts } from '@millrace/database/faults'
import type { CountedIn, PredictionFile } from '@millrace/database/tables'
import type { Price, Usage } from '@millrace/ledger/price'
import { billOf, chargeQueries } from './charge.ts'
import type { Fence } from './claim.ts'
import { holdRuns } from './hold-runs.ts'
import { rangeOf } from './id-range.ts'
import type { Lifecycle } from './lifecycle.ts'
import { endpointsOf, type MovedRow, movedColumns, postEvents, type SubscribedEndpoint } from './outbox.ts'
import { keepRemoved } from './removed.ts'
import { transitions } from './transitions.ts'

/**
 * Ends many predictions in one transaction: status, output or error, the last event, the outcome for filtered lists, the
 * deliveries owed, and the money: what was held is released and what was used is charged; the run is gone. Answers the
 * row of each that this call ended; undefined where the fence no longer holds or another ending won: a lost race is an
 * answer.
 */
export async function settle(lifecycle: Lifecycle, endings: Ending[]): Promise<(MovedRow | undefined)[]> {
  const rows = await retryConflicts(() =>
    transaction(lifecycle.db, async (client, last) => {
      const ids = endings.map(({ id }) => id)
      const values = [JSON.stringify(endings.map(parameterOf)), ...rangeOf(ids)]
      const [, { rows }] = await together([
        holdRuns(client, ids),
        client.query<SettledRow>({ name: 'settle', text: statement, values }),
      ])
      const usages = new Map(
        endings.map((ending) => [ending.id, ending.verb === 'succeed' ? ending.usage : undefined]),
      )
      const bills = rows.flatMap((row) => billOf(row, usages.get(row.id)) ?? [])
      for (const query of chargeQueries(bills, lifecycle.balanceWarning)) last(query)
      const moves = rows.map((row) => ({
        row,
        event: row.event,
        seq: row.event_seq,
        endpoints: row.endpoints,
      }))
      const owing = await postEvents(client, lifecycle.links, moves)
      for (const row of rows) row.owes = owing.has(row.id)
      return rows
    }),
  )
  const byId = new Map(rows.map((row) => [row.id, row]))
  return endings.map(({ id }) => byId.get(id))
}

function parameterOf(ending: Ending): Record<string, unknown> {
  const { from, to, event } = transitions[ending.verb]
  return {
    id: ending.id,
    attempt: ending.attempt,
    sources: from,
    status: to,
    event,
    output: ending.verb === 'succeed' ? ending.output : null,
    error: ending.verb === 'fail' ? ending.error : null,
    error_id: ending.verb === 'fail' ? ending.errorId : null,
    files: ending.verb === 'succeed' ? JSON.stringify(ending.files) : null,
    charged: ending.verb === 'succeed' ? ending.charged : undefined,
  }
}

const statement = `
  with incoming as materialized (
    select * from json_to_recordset($1) as i(id uuid, attempt integer, sources text[], status text, event text, output text,
                                             error text, error_id text, files text, charged bigint)
  ), held as materialized (
    -- one by one: as a join it is planned as a scan of all runs
    select r.* from incoming i, lateral (
      select prediction_id, event_seq, hold, price, budgets from runs where prediction_id = i.id and attempt = i.attempt limit 1
    ) r
  ), moved as (
    update predictions p
    set status = i.status, output = i.output::json, error = i.error, error_id = i.error_id,
        files = case when i.files is null then p.files
                     else (p.files::jsonb || i.files::jsonb)::json end,
        charged = coalesce(i.charged, p.charged),
        completed_at = greatest(clock_timestamp(), p.created_at, p.started_at),
        updated_at = greatest(clock_timestamp(), p.updated_at)
    from incoming i join held on held.prediction_id = i.id
    where p.id = i.id and p.id between $2 and $3 and p.attempt = i.attempt
      and p.status = any(i.sources)
    returning p.*, i.event, held.event_seq + 1 as event_seq, held.hold, held.price, held.budgets
  ), ended as (
    delete from runs r using moved where r.prediction_id = moved.id
  ), told as (
    insert into prediction_events (prediction_id, seq, kind, attempt, data, created_at)
    select id, event_seq, 'status', attempt, json_build_object('status', status)::text, updated_at from moved
  ), listed as (
    insert into outcomes (account_id, prediction_id, status, model)
    select account_id, id, status, model from moved where deleted_at is null
  ), removed as (
    ${keepRemoved('moved', { where: 'moved.deleted_at is not null', seq: 'next_usage_seq()' })}
  )
  select ${movedColumns('moved')}, moved.event, moved.event_seq, moved.hold, moved.price, moved.budgets, ${endpointsOf('moved')} from moved`

/** One ending. `attempt` is the fence: the attempt under which the caller saw or held the run. */
export type Ending = Fence &
  (
    | {
        verb: 'succeed'
        output: string
        files: PredictionFile[]
        /** What was counted of it, for its price. */
        usage?: Usage
        /** What it will be charged, where that is known before: its row is written once then. */
        charged?: number | undefined
      }
    | { verb: 'fail'; error: string; errorId: string }
    | { verb: 'cancel' }
  )

type SettledRow = MovedRow & {
  event: (typeof transitions)['succeed' | 'fail' | 'cancel']['event']
  event_seq: number
  hold: number
  price: Price | null
  budgets: CountedIn[] | null
  endpoints: SubscribedEndpoint[] | null
}
