import type { Database } from '@millrace/database/connect'

/**
 * Puts the runs in line whose time has come, at most `limit`, the longest due first. Answers how many there were, and of
 * which models: somebody must ring. Those that are still parked are in an index of their own, so a million of them cost
 * neither this nor a claim anything.
 */
export async function unpark(db: Database, limit = 1_000): Promise<Unparked> {
  const { rows } = await db.pool.query<{ pool: string; model: string; runs: number }>({
    name: 'unpark',
    text: statement,
    values: [limit],
  })
  return { runs: rows.reduce((sum, { runs }) => sum + runs, 0), bells: rows }
}

// As a select of its own the time bounds the scan of the index. Who holds a row is about to cancel it.
const statement = `
  with due as materialized (
    select prediction_id from runs where parked_until <= (select clock_timestamp())
    order by parked_until limit $1
    for update skip locked
  ), started as (
    -- nobody's time to start is spent while no dispatcher was there to put it in line
    update runs r set parked_until = null,
      start_by = greatest(r.start_by, least(clock_timestamp() + (r.start_by - r.run_at), r.expires_at))
    from due where r.prediction_id = due.prediction_id
    returning r.pool, r.model
  )
  select pool, model, count(*)::integer as runs from started group by pool, model`

export interface Unparked {
  runs: number
  bells: { pool: string; model: string }[]
}
