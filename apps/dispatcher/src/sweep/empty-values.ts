import type { Database } from '@millrace/database/connect'
import { rangeOf } from '@millrace/lifecycle/id-range'

/**
 * Empties predictions: input, output and logs go, and the bodies of webhooks that told them; the row stays in the lists.
 * A body that is still to be sent stays. Answers how many there were.
 */
export async function emptyValues(db: Database, ids: string[]): Promise<number> {
  if (ids.length === 0) return 0
  const [low, high] = rangeOf(ids)
  await db.pool.query(bodiesStatement, [ids, low, high])
  const { rowCount } = await db.pool.query(emptyStatement, [ids, low, high])
  return rowCount ?? 0
}

// Bodies and deliveries are made after their prediction, up to the skew between two processes' clocks.
const bodiesStatement = `
  with floor as materialized (
    select uuid_floor(min(created_at) - interval '1 minute') as id from predictions
    where id = any($1::uuid[]) and id between $2 and $3
  ), sent as (
    select body_id from deliveries d where d.prediction_id = any($1::uuid[]) and d.id >= (select id from floor)
    group by body_id having bool_and(completed_at is not null)
  )
  delete from webhook_bodies b using sent where b.id = sent.body_id and b.id >= (select id from floor)`

const emptyStatement = `
  with emptied as (
    update predictions
    set input = '{}', sealed_input = null, output = null, expired_at = coalesce(expired_at, clock_timestamp())
    where id = any($1::uuid[]) and id between $2 and $3
    returning id
  ), quieted as (
    delete from prediction_events e using emptied
    where e.prediction_id = emptied.id and e.prediction_id between $2 and $3 and e.kind <> 'status'
  )
  select id from emptied`
