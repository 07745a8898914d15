import { type Batcher, createBatcher } from '@millrace/database/batch'
import { type Database, transaction } from '@millrace/database/connect'
import { faultOf, retryConflicts, untilReachable } from '@millrace/database/faults'
import { rangeOf } from '@millrace/lifecycle/id-range'
import type { ClaimedDelivery } from './claim-due.ts'
import type { Answer } from './post.ts'
import { recall } from './postpone.ts'
import { endTargets, noteEndpoints } from './targets.ts'
import { errorOf, type Verdict } from './verdict.ts'

/**
 * Writes results many at a time: the attempt, and what becomes of the delivery. Answers for each whether the delivery
 * was still this process's; an attempt is kept either way, since it was made. While the database is away a result waits
 * for `leaseMs`, as long as it holds: lost, the receiver would get the event once more.
 */
export function createResults(db: Database, leaseMs: number): Batcher<Recorded, boolean> {
  return createBatcher({
    flush: (results) => untilReachable(() => recordAll(db, results), leaseMs),
    maxSize: 200,
    weigh: ({ answer }) => (answer?.kind === 'answered' ? answer.response.length : 0),
    isPoison: (error) => faultOf(error) === 'bad-row',
  })
}

async function recordAll(db: Database, results: Recorded[]): Promise<boolean[]> {
  const held = await retryConflicts(() =>
    transaction(db, async (client) => {
      const deliveries = results.map(({ delivery }) => delivery.id)
      const range = rangeOf(deliveries)
      await client.query({ name: 'hold-deliveries', text: holdStatement, values: [deliveries, ...range] })
      const values = [JSON.stringify(results.map(parameterOf)), ...range]
      const { rows } = await client.query<{ id: string }>({ name: 'record', text: statement, values })
      const ids = new Set(rows.map(({ id }) => id))
      const own = results.filter(({ delivery }) => ids.has(delivery.id))
      await noteEndpoints(client, own)
      await endTargets(client, own)
      await recall(client, own)
      return ids
    }),
  )
  return results.map(({ delivery }) => held.has(delivery.id))
}

function parameterOf({ delivery, answer, verdict }: Recorded): Record<string, unknown> {
  return {
    id: delivery.id,
    attempt: delivery.attempt,
    state: verdict.state,
    wait_seconds: verdict.state === 'due' ? verdict.waitSeconds : 0,
    tried: answer !== undefined,
    at: answer?.at.toISOString() ?? null,
    duration_ms: answer?.durationMs ?? 0,
    status_code: answer?.kind === 'answered' ? answer.statusCode : null,
    response: answer?.kind === 'answered' ? answer.response : null,
    error: answer ? errorOf(answer) : null,
  }
}

// A statement of its own, and without a join, for the reason that the lifecycle's hold-runs.ts gives.
const holdStatement = `
  select from deliveries where id = any($1::uuid[]) and id between $2 and $3 order by id for update`

const statement = `
  with incoming as materialized (
    select * from json_to_recordset($1) as i(id uuid, attempt integer, state text, wait_seconds float8, tried boolean,
      at timestamptz, duration_ms integer, status_code integer, response text, error text)
  ), tried as (
    insert into delivery_attempts (delivery_id, attempt, at, status_code, duration_ms, response, error)
    select id, attempt, at, status_code, duration_ms, response, error from incoming where tried
    on conflict do nothing
  )
  update deliveries d
  set state = i.state, lease_until = null,
      due_at = case when i.state = 'due' then clock_timestamp() + make_interval(secs => i.wait_seconds) else d.due_at end,
      completed_at = case when i.state = 'due' then null else greatest(clock_timestamp(), d.created_at) end
  from incoming i
  where d.id = i.id and d.attempt = i.attempt and d.id between $2 and $3 and d.state = 'sending'
  returning d.id`

/** A result on its way to the database. `answer` is undefined when no request was made, nor wanted. */
export interface Recorded {
  delivery: ClaimedDelivery
  answer: Answer | undefined
  verdict: Verdict
}
