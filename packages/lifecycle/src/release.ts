import type { Database } from '@millrace/database/connect'
import type { Fence } from './claim.ts'
import { alwaysThere, isPresent, type Presence } from './presence.ts'

/**
 * A worker gives runs back: while it drains, because their host was unavailable (`tried`), or because the model's process
 * died under them (`crashed`), which costs each an attempt towards WORKER_LOST. `delaySeconds` holds the next try back.
 * Returns how many were its own: none when it is repeated because the answer was lost.
 */
export async function handBack(
  db: Database,
  worker: string,
  fences: Fence[],
  options: HandBack = {},
): Promise<number> {
  const { rowCount } = await db.pool.query(
    `update runs r
     set worker = null, lease_until = null, crashes = r.crashes + $2, tries = r.tries + $5, rerun = r.rerun or $6,
         job = case when not $7 then r.job end,
         run_at = case when $3::float8 > 0 then clock_timestamp() + make_interval(secs => $3::float8) else r.run_at end
     from json_to_recordset($1) as i(id uuid, attempt integer)
     where r.prediction_id = i.id and r.attempt = i.attempt and r.worker = $4
       -- else it is planned as a scan of all runs
       and r.prediction_id = any($8::uuid[])`,
    [
      JSON.stringify(fences),
      options.crashed ? 1 : 0,
      options.delaySeconds ?? 0,
      worker,
      options.tried ? 1 : 0,
      options.untouched ?? false,
      options.jobIsOver ?? false,
      fences.map(({ id }) => id),
    ],
  )
  return rowCount ?? 0
}

/** A supervisor saw a worker die: its runs are free at once, each one attempt poorer. Returns how many there were. */
export async function releaseWorker(db: Database, worker: string): Promise<number> {
  const { rowCount } = await db.pool.query(
    'update runs set worker = null, lease_until = null, crashes = crashes + 1 where worker = $1',
    [worker],
  )
  return rowCount ?? 0
}

/**
 * Frees the runs whose lease ran out, as the database's clock has it. A database that was away, or restarted, gives
 * everybody a whole lease again, since nobody could renew meanwhile. Returns the freed runs' models.
 */
export async function releaseExpired(
  db: Database,
  leaseSeconds: number,
  { since, asked }: Presence = alwaysThere,
): Promise<{ id: string; model: string }[]> {
  const { rows } = await db.pool.query<{ id: string; model: string }>(
    `with expired as materialized (
       select prediction_id from runs
       where worker is not null
         and clock_timestamp() > greatest(lease_until, pg_postmaster_start_time() + make_interval(secs => $1::float8))
         and ${isPresent({ lease: '$1', since: '$2', asked: '$3' })}
       order by prediction_id limit 1000
       for update skip locked
     )
     update runs r set worker = null, lease_until = null, crashes = r.crashes + 1
     from expired where r.prediction_id = expired.prediction_id
     returning r.prediction_id as id, r.model`,
    [leaseSeconds, since, asked],
  )
  return rows
}

export interface HandBack {
  crashed?: boolean
  delaySeconds?: number
  /** Its host was found unavailable, which counts towards the tries of its model. */
  tried?: boolean
  /** It is certain that nothing was done outside, so that it may run although it must not run twice. */
  untouched?: boolean
  /** The next attempt begins a job of its own. */
  jobIsOver?: boolean
}
