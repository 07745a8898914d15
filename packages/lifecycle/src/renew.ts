import type { Database } from '@millrace/database/connect'
import type { Fence } from './claim.ts'

/**
 * Renews the leases of all of a worker's runs in one statement. Answers the ids that are still this worker's, with
 * whether their cancellation was asked for; an id that is missing was taken away: stop its model.
 */
export async function renew(db: Database, request: RenewRequest): Promise<Map<string, { cancel: boolean }>> {
  const query = {
    name: 'renew',
    text: statement,
    values: [JSON.stringify(request.fences), request.worker, request.leaseSeconds],
    query_timeout: request.patienceMs,
  }
  const { rows } = await db.pool.query<{ prediction_id: string; cancel: boolean }>(query)
  return new Map(rows.map(({ prediction_id, cancel }) => [prediction_id, { cancel }]))
}

// A lease that was released but not claimed again is still nobody else's: the worker takes it back, and the crash that
// the release counted was none.
const statement = `
  with incoming as materialized (
    select * from json_to_recordset($1) as i(id uuid, attempt integer)
  ), held as materialized (
    select r.prediction_id, r.worker is null as released from runs r
    join incoming i on r.prediction_id = i.id and r.attempt = i.attempt
    where (r.worker is null or r.worker = $2)
      -- else it is planned as a scan of all runs
      and r.prediction_id = any(array(select id from incoming))
    order by r.prediction_id for update of r
  )
  update runs r
  set worker = $2, lease_until = clock_timestamp() + make_interval(secs => $3),
      crashes = greatest(0, r.crashes - held.released::integer)
  from held where r.prediction_id = held.prediction_id
  returning r.prediction_id, r.cancel_requested_at is not null as cancel`

export interface RenewRequest {
  fences: Fence[]
  worker: string
  leaseSeconds: number
  /** How long the statement may go without an answer, where that is not as long as any other's. */
  patienceMs?: number
}
