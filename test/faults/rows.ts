import { type Connection, type Database, transaction } from '@millrace/database/connect'
import { toTypeId } from '@millrace/database/ids'
import type { History } from './history.ts'

/** Puts on record what the database holds now that all is quiet, as of one moment: what was deleted may go meanwhile. */
export async function recordRows(db: Database, history: History): Promise<void> {
  await transaction(db, async (client) => {
    await client.query('set transaction isolation level repeatable read, read only')
    await recordFrom(client, history)
  })
}

async function recordFrom(client: Connection, history: History): Promise<void> {
  const predictions = await client.query(
    `select p.id, k.key, p.input ->> 'word' as "inputWord",
            case json_typeof(p.output) when 'object' then p.output ->> 'word' end as "outputWord", p.status, p.attempt, p.error_id, p.webhook::json -> 'events' as webhook, p.deleted_at is not null as deleted,
            extract(epoch from p.created_at)::float8 as created, extract(epoch from p.started_at)::float8 as started,
            extract(epoch from p.completed_at)::float8 as completed,
            (select count(*) from outcomes o where o.prediction_id = p.id)::integer as outcomes,
            p.model, p.held, p.charged,
            (select coalesce(json_agg(l.amount), '[]') from ledger_entries l where l.prediction_id = p.id and l.kind = 'charge') as charges
     from predictions p left join idempotency_keys k on k.prediction_id = p.id`,
  )
  for (const { error_id: errorId, ...row } of predictions.rows) {
    history.record({ is: 'prediction', row: { ...row, errorId, id: toTypeId('pred', row.id) } })
  }
  const events = await client.query(
    `select prediction_id as id, seq, attempt, data::json ->> 'status' as status from prediction_events where kind = 'status'`,
  )
  for (const row of events.rows) {
    history.record({ is: 'status-event', ...row, id: toTypeId('pred', row.id) })
  }
  const others = await client.query(
    `select prediction_id as id, json_agg(json_build_array(seq, attempt, kind) order by seq) as told
     from prediction_events where kind <> 'status' group by prediction_id`,
  )
  for (const { id, told } of others.rows) {
    history.record({ is: 'other-events', id: toTypeId('pred', id), told })
  }
  const deliveries = await client.query(
    `select id, prediction_id as prediction, event, state, attempt,
            (select count(*)::integer from jsonb_object_keys(attempts)) as tries, endpoint_id as endpoint, url
     from deliveries`,
  )
  for (const row of deliveries.rows) {
    const prediction = toTypeId('pred', row.prediction)
    const endpoint = row.endpoint && toTypeId('whe', row.endpoint)
    history.record({ is: 'delivery', row: { ...row, id: toTypeId('msg', row.id), prediction, endpoint } })
  }
  const books = await client.query(
    `select b.account_id as account, b.balance, b.held,
            (select coalesce(sum(case credit when 'account' then amount else -amount end), 0)::bigint
             from ledger_entries l where l.account_id = b.account_id) as entries,
            (select coalesce(sum(hold), 0)::bigint from runs r where r.account_id = b.account_id) as holds
     from balances b`,
  )
  for (const { account, ...sums } of books.rows)
    history.record({ is: 'books', ...sums, account: toTypeId('acct', account) })
  const { rows: left } = await client.query('select prediction_id as id, worker, attempt from runs')
  for (const { id, worker, attempt } of left) {
    const what = `${toTypeId('pred', id)} still has a run at attempt ${attempt}, of ${worker ?? 'nobody'}`
    history.record({ is: 'leftover', what })
  }
}

/** Whether nothing is left to run or to send. */
export async function isQuiet(db: Database): Promise<boolean> {
  const { rows } = await db.pool.query(
    `select not exists (select from runs) and not exists (select from deliveries where completed_at is null) as quiet`,
  )
  return rows[0].quiet
}
