import { isCounted } from '@millrace/activity/ended'
import { transaction } from '@millrace/database/connect'
import { rangeOf } from '@millrace/lifecycle/id-range'
import { keepRemoved } from '@millrace/lifecycle/removed'
import { removeFiles } from '@millrace/storage/files'
import type { PurgeContext } from './purge.ts'

/**
 * Removes the predictions that `select` names with all that belongs to them. Bytes go first and the row last, so that
 * what was cut off is found again. Answers their number.
 */
export async function purgePredictions(
  { db, store }: PurgeContext,
  select: string,
  parameters: unknown[],
): Promise<number> {
  const { rows } = await db.pool.query<{ id: string }>(select, parameters)
  const ids = rows.map(({ id }) => id)
  if (ids.length === 0) return 0

  const files = await db.pool.query<{ id: string }>(
    'select id from files where prediction_id = any($1::uuid[])',
    [ids],
  )
  // What the store does not give up keeps its row, by which it is tried again, and holds nothing else here.
  await removeFiles(
    db,
    store,
    files.rows.map(({ id }) => id),
  )

  const [low, high] = rangeOf(ids)
  await transaction(db, async (client) => {
    await client.query(deliveriesStatement, [ids, low])
    await client.query(rowsStatement, [ids, low, high])
  })
  return ids.length
}

// Deliveries and bodies are made after their prediction, up to the skew between two processes' clocks. Attempts of 0.1
// have rows of their own.
const deliveriesStatement = `
  with floor as materialized (
    select uuid_floor(min(created_at) - interval '1 minute') as id from predictions where id = $2
  ), sent as (
    delete from deliveries d where d.prediction_id = any($1::uuid[]) and d.id >= (select id from floor)
    returning d.id, d.body_id
  ), tried as (
    delete from delivery_attempts a using sent where a.delivery_id = sent.id and a.delivery_id >= (select id from floor)
  )
  delete from webhook_bodies b using (select distinct body_id from sent) s
  where b.id = s.body_id and b.id >= (select id from floor)`

// Of what ended so late that nobody has counted it yet, what counts is kept.
const rowsStatement = `
  with events as (
    delete from prediction_events where prediction_id = any($1::uuid[]) and prediction_id between $2 and $3
  ), listed as (
    delete from outcomes where prediction_id = any($1::uuid[]) returning prediction_id, seq
  ), uncounted as (
    ${keepRemoved('predictions p join listed on listed.prediction_id = p.id', {
      where: `p.id = any($1::uuid[]) and p.id between $2 and $3 and not ${isCounted('listed')}`,
      seq: 'seq',
    })}
  ), expiring as (
    delete from expiries where prediction_id = any($1::uuid[])
  ), tagged as (
    delete from prediction_tags where prediction_id = any($1::uuid[])
  )
  delete from predictions where id = any($1::uuid[]) and id between $2 and $3`
