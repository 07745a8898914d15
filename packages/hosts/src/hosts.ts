import type { Database } from '@millrace/database/connect'

/** The hosts that failed lately, as the database's clock has it. One that is not among them is taken to be well. */
export async function readHosts({ pool }: Database): Promise<HostState[]> {
  const { rows } = await pool.query<HostState>({
    name: 'read-hosts',
    text: `select ${columns} from hosts`,
  })
  return rows
}

/**
 * A host failed a run that began `secondsAgo`. After a few failures in a row it is left alone, each time for twice as
 * long. What began before it was left alone says nothing new. Answers how it stands, undefined where nothing changed.
 */
export async function noteFailure({ pool }: Database, failure: Failure): Promise<HostState | undefined> {
  const { name, reason, secondsAgo } = failure
  const { rows } = await pool.query<HostState>({
    name: 'note-failure',
    text: failureStatement,
    values: [name, reason.slice(0, 500), secondsAgo],
  })
  return rows[0]
}

/** A host served: its failures are forgotten. */
export async function noteService({ pool }: Database, name: string): Promise<void> {
  await pool.query('delete from hosts where name = $1', [name])
}

/**
 * Asks to be the one who finds out whether a host is back, for at most a minute. Answers false while it is left alone
 * and while somebody else is at it.
 */
export async function takeProbe({ pool }: Database, name: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `update hosts set probed_until = clock_timestamp() + interval '60 seconds'
     where name = $1 and open_until <= clock_timestamp() and coalesce(probed_until < clock_timestamp(), true)`,
    [name],
  )
  return rowCount === 1
}

/** The probe came to nothing that says how the host is: somebody else may try at once. */
export async function dropProbe({ pool }: Database, name: string): Promise<void> {
  await pool.query('update hosts set probed_until = null where name = $1', [name])
}

/** Failures in a row before a host is left alone. */
export const failuresToOpen = 3
const firstSeconds = 2
const mostSeconds = 60

const columns = `name, failures, reason,
  case when open_until is not null then greatest(0, extract(epoch from open_until - clock_timestamp()))::float8 end as "closedFor",
  coalesce(probed_until > clock_timestamp(), false) as probed`

// Failures that lie further apart than ten minutes are not in a row.
const failureStatement = `
  insert into hosts as h (name, failures, failed_at, reason) values ($1, 1, clock_timestamp(), $2)
  on conflict (name) do update
    set (failures, failed_at, reason, probed_until, open_until) = (
      select n, clock_timestamp(), excluded.reason, null::timestamptz, case when n >= ${failuresToOpen} then
        clock_timestamp() + make_interval(secs => least(${mostSeconds}, ${firstSeconds} * 2 ^ least(n - ${failuresToOpen}, 10))) end
      from (select case when h.failed_at < clock_timestamp() - interval '10 minutes' then 1 else h.failures + 1 end as n) as counted)
    where coalesce(h.open_until <= clock_timestamp() - make_interval(secs => $3), true)
  returning ${columns}`

export interface HostState {
  name: string
  /** In a row. */
  failures: number
  reason: string
  /** Seconds for which nobody aims at it; 0: somebody may find out whether it is back. Null: it did not fail often enough. */
  closedFor: number | null
  /** Somebody is finding out. */
  probed: boolean
}

interface Failure {
  name: string
  reason: string
  /** When the run that found it so had begun. */
  secondsAgo: number
}
