import { type Batcher, createBatcher } from '@millrace/database/batch'
import { type Connection, type Database, transaction } from '@millrace/database/connect'
import { faultOf, retryConflicts, untilReachable } from '@millrace/database/faults'
import type { DeliveryAttempt } from '@millrace/database/tables'
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
  const own = await retryConflicts(() => transaction(db, (client) => write(client, results)))
  return results.map((result) => own.has(result))
}

/** Answers which of them were still this process's. */
async function write(connection: Connection, results: Recorded[]): Promise<Set<Recorded>> {
  const deliveries = results.map(({ delivery }) => delivery.id)
  const range = rangeOf(deliveries)
  const values = [JSON.stringify(results.map(parameterOf)), ...range]
  const [, { rows }] = await Promise.all([
    connection.query({ name: 'hold-deliveries', text: holdStatement, values: [deliveries, ...range] }),
    connection.query<Written>({ name: 'record', text: statement, values }),
  ])
  const attempts = new Map(rows.map(({ id, attempt }) => [id, attempt]))
  const { own = [], late = [] } = Object.groupBy(results, ({ delivery: { id, attempt } }) =>
    attempts.get(id) === attempt ? 'own' : 'late',
  )
  await keepLate(connection, late)
  await noteEndpoints(connection, own)
  await endTargets(connection, own)
  await recall(connection, own)
  return new Set(own)
}

/** The attempts of which nothing else is written: another process, or a later attempt, has the delivery by now. */
async function keepLate(connection: Connection, results: Recorded[]): Promise<void> {
  const tried = results.filter(({ answer }) => answer !== undefined)
  if (tried.length === 0) return
  const late = [...Map.groupBy(tried, ({ delivery }) => delivery.id)].map(([id, of]) => ({
    id,
    attempts: Object.assign({}, ...of.map(attemptsOf)),
  }))
  const values = [JSON.stringify(late), ...rangeOf(late.map(({ id }) => id))]
  await connection.query({ name: 'keep-late', text: lateStatement, values })
}

function parameterOf(result: Recorded): Record<string, unknown> {
  const { delivery, verdict } = result
  return {
    id: delivery.id,
    attempt: delivery.attempt,
    lease_until: delivery.lease_until,
    state: verdict.state,
    wait_seconds: verdict.state === 'due' ? verdict.waitSeconds : 0,
    untried: verdict.state === 'due' && verdict.untried === true,
    attempts: attemptsOf(result),
  }
}

/** By its number, so that a result that is written again after a lost answer adds nothing. */
function attemptsOf({ delivery, answer }: Recorded): Record<string, DeliveryAttempt> {
  if (answer === undefined) return {}
  const attempt = {
    at: answer.at.toISOString(),
    status_code: answer.kind === 'answered' ? answer.statusCode : null,
    duration_ms: answer.durationMs,
    response: answer.kind === 'answered' ? answer.response : null,
    error: errorOf(answer),
  }
  return { [delivery.attempt]: attempt }
}

// A statement of its own, and without a join, for the reason that the lifecycle's hold-runs.ts gives.
const holdStatement = `
  select from deliveries where id = any($1::uuid[]) and id between $2 and $3 order by id for update`

const statement = `
  update deliveries d
  set state = i.state, attempt = d.attempt - i.untried::integer, lease_until = null, attempts = d.attempts || i.attempts,
      due_at = case when i.state = 'due' then clock_timestamp() + make_interval(secs => i.wait_seconds) else d.due_at end,
      completed_at = case when i.state = 'due' then null else greatest(clock_timestamp(), d.created_at) end
  from json_to_recordset($1) as i(id uuid, attempt integer, lease_until timestamptz, state text, wait_seconds float8,
                                  untried boolean, attempts jsonb)
  where d.id = i.id and d.attempt = i.attempt and d.lease_until = i.lease_until and d.id between $2 and $3
    and d.state = 'sending'
  returning d.id, i.attempt`

const lateStatement = `
  update deliveries d set attempts = d.attempts || i.attempts
  from json_to_recordset($1) as i(id uuid, attempts jsonb)
  where d.id = i.id and d.id between $2 and $3`

/** A result on its way to the database. `answer` is undefined when no request was made, nor wanted. */
export interface Recorded {
  delivery: ClaimedDelivery
  answer: Answer | undefined
  verdict: Verdict
}

interface Written {
  id: string
  attempt: number
}
