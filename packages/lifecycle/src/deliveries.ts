import type { Database } from '@millrace/database/connect'
import { timeOfId } from '@millrace/database/ids'
import { countCap, type Found, findPage, type Page, type Slice } from '@millrace/database/page'
import type { DeliveryAttempt, DeliveryTable } from '@millrace/database/tables'
import type { Selectable } from 'kysely'

/** A page of a prediction's webhook deliveries, newest first, each with its attempts in order. */
export async function listDeliveries(
  db: Database,
  predictionId: string,
  page: Page,
): Promise<Found<DeliveryRow>> {
  return findPage(
    page,
    (slice) => readDeliveries(db, predictionId, slice),
    () => countDeliveries(db, predictionId),
  )
}

async function readDeliveries(db: Database, predictionId: string, slice: Slice): Promise<DeliveryRow[]> {
  // Deliveries are made with the prediction or after it: ids from about its own on, which prunes older partitions.
  const { rows } = await db.pool.query<DeliveryRow>(
    `select d.id, d.event, d.url, d.endpoint_id, d.state, d.due_at, d.created_at, d.completed_at,
       (select coalesce(json_agg(json_build_object('attempt', nth::integer, 'at', a -> 'at',
                                                   'status_code', a -> 'status_code', 'duration_ms', a -> 'duration_ms',
                                                   'response', a -> 'response', 'error', a -> 'error')
                                 order by nth::integer), '[]')
        from jsonb_each(coalesce((select jsonb_object_agg(o.attempt, to_jsonb(o)) from delivery_attempts o
                                  where o.delivery_id = d.id), '{}') || d.attempts) as made(nth, a)) as attempts
     from deliveries d
     where d.prediction_id = $1 and d.id >= uuid_floor($2) and d.id > $3 and d.id < $4
     order by d.id ${slice.order} limit $5 offset $6`,
    [predictionId, timeBefore(predictionId), slice.above, slice.below, slice.limit, slice.offset],
  )
  return rows
}

async function countDeliveries(db: Database, predictionId: string): Promise<number> {
  const { rows } = await db.pool.query<{ total: number }>(
    `select count(*) as total from (
       select 1 from deliveries where prediction_id = $1 and id >= uuid_floor($2) limit ${countCap + 1}) counted`,
    [predictionId, timeBefore(predictionId)],
  )
  return rows[0]?.total ?? 0
}

/** An hour before the prediction's id was made: clocks of several processes may differ a little. */
function timeBefore(id: string): Date {
  return new Date(timeOfId(id) - 3_600_000)
}

export type DeliveryRow = Pick<
  Selectable<DeliveryTable>,
  'id' | 'event' | 'url' | 'endpoint_id' | 'state' | 'due_at' | 'created_at' | 'completed_at'
> & { attempts: (DeliveryAttempt & { attempt: number })[] }
