import { accountEvents } from '@millrace/contract/webhook-events'
import { idFloor, timeOfId } from '@millrace/database/ids'
import { rangeOf } from '@millrace/lifecycle/id-range'
import { floorOfAge } from './expire.ts'
import type { PurgeContext } from './purge.ts'

/**
 * Removes the deliveries of events of accounts that are as old as predictions may become; those of a prediction go with
 * it. Answers how many it removed.
 */
export async function purgeAccountEvents({
  db,
  retention,
}: Pick<PurgeContext, 'db' | 'retention'>): Promise<number> {
  const { rows } = await db.pool.query<{ id: string }>(oldStatement, [retention.rowDays, accountEvents])
  if (rows.length === 0) return 0
  const ids = rows.map(({ id }) => id)
  const [low, high] = rangeOf(ids)
  const bodies = [idFloor(timeOfId(low)), idFloor(timeOfId(high) + 1)]
  await db.pool.query(removeStatement, [ids, low, high, ...bodies])
  return ids.length
}

/** So many in one call. */
export const accountEventsAtOnce = 200

// Only the oldest are looked at, so that a backlog of old predictions costs no walk through all their deliveries.
const oldStatement = `
  select id from (
    select id, event, completed_at from deliveries where id < ${floorOfAge('$1')} order by id limit 1000
  ) oldest
  where event = any($2::text[]) and completed_at is not null
  order by id limit ${accountEventsAtOnce}`

// A body's id is of the same millisecond as those of its deliveries. Attempts of 0.1 have rows of their own.
const removeStatement = `
  with sent as (
    delete from deliveries where id = any($1::uuid[]) and id between $2 and $3 returning id, body_id
  ), tried as (
    delete from delivery_attempts a using sent where a.delivery_id = sent.id and a.delivery_id between $2 and $3
  )
  delete from webhook_bodies b using (select distinct body_id from sent) s
  where b.id = s.body_id and b.id >= $4 and b.id < $5`
