import type { Database } from '@millrace/database/connect'
import type { Line } from './pass-on.ts'
import { silentSeconds } from './workers.ts'

/**
 * Moves what waits in line under former names of models into the models' own lines, where each keeps its turn: of each
 * name at most `limit`, the urgent ones first. So a claim, a count and a place in line know one name only, and cost what
 * they cost without this. A name that another worker than `worker` serves as a model's own is left to that one: it has
 * not read the new file yet, or knows another model by it. Answers how many runs of each model were moved; who holds a
 * row is just moving it.
 */
export async function adoptRuns(
  db: Database,
  worker: string,
  renames: readonly Rename[],
  limit = 1_000,
): Promise<Map<string, number>> {
  const { rows } = await db.pool.query<{ model: string; runs: number }>({
    name: 'adopt-runs',
    text: statement,
    values: [JSON.stringify(renames), limit, worker, silentSeconds],
  })
  return new Map(rows.map(({ model, runs }) => [model, runs]))
}

// One leap into the index of the lines for each former name: where nothing waits, it reads nothing. What a worker holds
// is left alone, and what is parked comes in line under its former name first.
const statement = `
  with found as materialized (
    select late.prediction_id, n.model, n.pool
    from json_to_recordset($1) as n(former text, model text, pool text), lateral (
      select prediction_id from runs
      where runs.model = n.former and parked_until is null and worker is null
      order by priority, account_id, lane, turn, prediction_id limit $2
      for update skip locked
    ) late
    where not exists (
      select from workers w where w.name <> $3 and n.former = any(w.models) and w.seen_at > clock_timestamp() - make_interval(secs => $4)
    )
  ), moved as (
    update runs r set model = found.model, pool = found.pool
    from found where r.prediction_id = found.prediction_id
    returning r.model
  )
  select model, count(*)::integer as runs from moved group by model`

/** A model's former name, and where its runs wait now. */
export interface Rename extends Line {
  former: string
}
