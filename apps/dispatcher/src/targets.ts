import type { Connection } from '@millrace/database/connect'
import { toTypeId } from '@millrace/database/ids'
import { rangeOf } from '@millrace/lifecycle/id-range'
import { postAccountEvents } from '@millrace/webhooks/account-events'
import type { Recorded } from './record.ts'

/** An endpoint that fails everything for this long is disabled. */
const failingDays = 5

/**
 * What results mean for account endpoints: one that answers 410 is disabled at once, one that fails everything for
 * days as well, and any success starts that count anew. Rows are only written when something changes. Of an endpoint
 * that is disabled its account is told at the others.
 */
export async function noteEndpoints(connection: Connection, results: Recorded[]): Promise<void> {
  const notes = results.flatMap(({ delivery, answer, verdict }) =>
    delivery.endpoint_id === null || answer === undefined
      ? []
      : [
          {
            id: delivery.endpoint_id,
            url: delivery.url,
            ok: verdict.state === 'delivered',
            gone: verdict.state === 'dropped' && verdict.gone,
          },
        ],
  )
  if (notes.length === 0) return
  const { rows } = await connection.query<NotedRow>({
    name: 'note-endpoints',
    text: noteStatement,
    values: [JSON.stringify(notes), failingDays],
  })
  const disabled = rows.filter(({ active }) => !active)
  await postAccountEvents(
    connection,
    disabled.map(({ id, account_id, url, disabled_reason, updated_at }) => ({
      accountId: account_id,
      name: 'webhook.disabled',
      data: { id: toTypeId('whe', id), url, disabled_reason, disabled_at: updated_at.toISOString() },
    })),
  )
}

/** A prediction's own webhook that answered 410 gets nothing more of that prediction. */
export async function endTargets(connection: Connection, results: Recorded[]): Promise<void> {
  const ended = results.filter(
    ({ delivery, verdict }) => delivery.endpoint_id === null && verdict.state === 'dropped' && verdict.gone,
  )
  if (ended.length === 0) return
  const targets = ended.map(({ delivery }) => ({ prediction_id: delivery.prediction_id, url: delivery.url }))
  const [oldest] = rangeOf(targets.map(({ prediction_id }) => prediction_id))
  await connection.query({
    name: 'end-targets',
    text: endStatement,
    values: [JSON.stringify(targets), oldest],
  })
}

// Results of a URL that the endpoint no longer has say nothing about it.
const noteStatement = `
  with noted as (
    select id, url, bool_or(ok) as ok, bool_or(gone) as gone
    from json_to_recordset($1) as n(id uuid, url text, ok boolean, gone boolean) group by id, url
  ), held as materialized (
    select w.id, n.ok, n.gone, not n.ok and w.failing_since < clock_timestamp() - make_interval(days => $2) as failing
    from webhook_endpoints w join noted n on n.id = w.id and n.url = w.url
    where w.active and (n.gone or (w.failing_since is not null) = n.ok
                        or w.failing_since < clock_timestamp() - make_interval(days => $2))
    order by w.id for update of w
  )
  update webhook_endpoints w
  set failing_since = case when held.ok then null else coalesce(w.failing_since, clock_timestamp()) end,
      active = not (held.gone or coalesce(held.failing, false)),
      disabled_reason = case when held.gone then 'The endpoint answered 410 Gone'
                             when held.failing then 'Every delivery failed for ' || $2::integer || ' days'
                             else w.disabled_reason end,
      updated_at = case when held.gone or held.failing then clock_timestamp() else w.updated_at end
  from held where w.id = held.id
  returning w.id, w.account_id, w.url, w.active, w.disabled_reason, w.updated_at`

const endStatement = `
  with ended as (
    select distinct prediction_id, url from json_to_recordset($1) as e(prediction_id uuid, url text)
  )
  update deliveries d set state = 'dropped', completed_at = greatest(clock_timestamp(), d.created_at)
  from ended e
  where d.prediction_id = e.prediction_id and d.url = e.url and d.id >= $2
    and d.endpoint_id is null and d.state = 'due'`

interface NotedRow {
  id: string
  account_id: string
  url: string
  active: boolean
  disabled_reason: string | null
  updated_at: Date
}
