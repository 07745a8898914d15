import { type Database, plannedOnce } from '@millrace/database/connect'
import { retryConflicts } from '@millrace/database/faults'
import { rangeOf } from '@millrace/lifecycle/id-range'
import type { Saturation } from './load.ts'

/** In flight at once for one account and host. */
export const slotsPerHost = 8

/**
 * Takes up to `limit` deliveries whose time has come, oldest first, and leaves alone what is saturated and what must
 * wait for an earlier event of the same prediction and target. Each is leased by the database's clock: should this
 * process die, another one sends it again once the lease ran out. `db` is opened with `claimSettings`.
 */
export async function claimDue(db: Database, request: ClaimRequest): Promise<Claim> {
  const { limit, slotsPerAccount, leaseSeconds, saturation } = request
  const window = request.wide ? looked.wide : looked.usual
  const { rows: looks } = await db.pool.query<Look>({
    name: 'look-for-due',
    text: lookStatement,
    values: [
      limit,
      slotsPerHost,
      slotsPerAccount,
      saturation.fullAccounts,
      saturation.closedPairs,
      saturation.probingPairs,
      JSON.stringify(saturation.inFlight),
      JSON.stringify(saturation.accounts),
      window,
    ],
  })
  const { ids, earlier, due, waiting } = looks[0] ?? { ids: [], earlier: [], due: 0, waiting: 0 }
  const seen = { full: due >= window, waiting }
  if (ids.length === 0) return { claimed: [], ...seen }
  const values = [ids, ...rangeOf(ids), leaseSeconds]
  const { rows } = await retryConflicts(() =>
    db.pool.query<ClaimedRow>({ name: 'claim-due', text: claimStatement, values }),
  )
  return { claimed: inOrder(rows, ids, earlier), ...seen }
}

/** As they were looked for, each with the one that comes before it. */
function inOrder(rows: ClaimedRow[], ids: string[], earlier: (string | null)[]): ClaimedDelivery[] {
  const byId = new Map(rows.map((row) => [row.id, row]))
  return ids.flatMap((id, nth) => {
    const row = byId.get(id)
    return row ? [{ ...row, after: earlier[nth] ?? null }] : []
  })
}

/**
 * Of what is due, the oldest so many are looked at in one claim: enough to fill every slot where nobody has a backlog.
 * Behind somebody's backlog others wait until the wide look that comes `wideEveryMs` after the last one, or later when
 * that took long.
 */
const looked = { usual: 500, wide: 20_000 }
export const wideEveryMs = 100

/** Of one target so many are tried in one claim: what its slots may hold back, in several dispatchers. */
const probed = 200

/** How `account` and `host` are written as one text, here and in the statement. */
export const pairOf = (account: string, host: string): string => `${account} ${host}`

/**
 * Each account and host may fill the slots it has left. A target with a long backlog is full after the first claim and
 * then no candidate at all; until then only as many of its deliveries are looked at as it may have, since each one's
 * earlier events must be looked up.
 *
 * The earlier events are looked up by prediction: `state` says what `completed_at is null` would, which would let the
 * planner walk the whole backlog by its due index for each candidate (measured: 15 deliveries a second with 5,400 due).
 *
 * The order within a prediction and target: an event waits while an earlier one was never tried, is being sent, or is
 * younger than 60 s. Where that one is due and looked at, too, both are claimed at once, and the later one waits here:
 * whatever limits a claim cuts off the later one first, since all is in the order of due_at.
 *
 * `offset 0` keeps the planner from joining all of deliveries with itself, and the bounds on id let the inner look-up skip
 * the partitions that cannot hold it.
 */
const lookStatement = `
  with due as materialized (
    select id, account_id, host, due_at from deliveries
    where completed_at is null and due_at <= (select clock_timestamp()) and (state = 'due' or lease_until < clock_timestamp())
      and account_id <> all($4::uuid[]) and account_id || ' ' || host <> all($5::text[])
    order by due_at limit $9::integer
  ), pairs as materialized (
    select c.*, greatest(0, case when c.account_id || ' ' || c.host = any($6::text[]) then 1 else $2::integer end
                            - coalesce(p.count, 0)) as free
    from (select account_id, host, count(*) as due, (array_agg(id order by due_at, id))[:${probed}] as ids
          from due group by account_id, host) c
    left join (select account, host, count from json_to_recordset($7) as f(account uuid, host text, count integer)) p
      on p.account = c.account_id and p.host = c.host
  ), allowed as materialized (
    select d.id, d.due_at, d.earlier, c.account_id, c.host,
           coalesce(a.count, 0) + row_number() over (partition by c.account_id order by d.due_at, d.id) as of_account
    from pairs c
    left join (select account, count from json_to_recordset($8) as f(account uuid, count integer)) a
      on a.account = c.account_id
    cross join lateral (
      select d.id, d.due_at, held.earlier
      from unnest(c.ids) with ordinality as oldest(id, nth) join deliveries d on d.id = oldest.id
      cross join lateral (
        select least(d.prediction_id, uuid_floor(d.created_at - interval '1 minute')) as first offset 0) ids
      cross join lateral (
        select (array_agg(e.id order by e.seq desc))[1] as earlier,
               bool_and(e.id = any(c.ids) and (e.due_at, e.id) < (d.due_at, d.id)) as comes
        from deliveries e
        where e.prediction_id = d.prediction_id and e.seq < d.seq and e.state in ('due', 'sending')
          and e.endpoint_id is not distinct from d.endpoint_id and (d.endpoint_id is not null or e.url = d.url)
          and (e.attempt = 0 or e.lease_until > clock_timestamp() or e.created_at > clock_timestamp() - interval '60 s')
          and e.id between ids.first and (select uuid_floor(clock_timestamp() + interval '1 minute'))
        offset 0) held
      where held.comes is not false
      order by oldest.nth
      limit c.free
    ) d
  ), picked as materialized (
    select id, earlier, due_at from allowed where of_account <= $3 order by due_at, id limit $1::integer
  )
  select array(select id from picked order by due_at, id) as ids,
         array(select earlier from picked order by due_at, id) as earlier,
         (select count(*) from due)::integer as due,
         (select coalesce(sum(c.due - coalesce(a.count, 0)), 0)::integer
          from pairs c left join (select account_id, host, count(*) from allowed group by account_id, host) a
            using (account_id, host)
          where coalesce(a.count, 0) < c.free) as waiting`

/**
 * A claim does not wait for the disk: should the database lose it in a crash, the delivery is due again, as if this
 * process had died.
 */
export const claimSettings = { ...plannedOnce, synchronous_commit: 'off' }

// A statement of its own, and without a join, for the reason that the lifecycle's hold-runs.ts gives. Another process may
// have taken some of them since they were looked for.
const claimStatement = `
  update deliveries
  set state = 'sending', attempt = attempt + 1, lease_until = clock_timestamp() + make_interval(secs => $4)
  where id = any($1::uuid[]) and id between $2 and $3
    and completed_at is null and (state = 'due' or lease_until < clock_timestamp())
  returning id, attempt, lease_until::text, account_id, prediction_id, endpoint_id, url, host, event, body_id, due_at`

/** What a look at the due deliveries gave. */
export interface Claim {
  claimed: ClaimedDelivery[]
  /** There is more behind what was looked at. */
  full: boolean
  /** So many are due, and their targets have slots for them, but they wait for an earlier event. */
  waiting: number
}

/** A delivery that this process alone may send now, as attempt number `attempt`. */
export interface ClaimedDelivery extends ClaimedRow {
  /** The delivery that must be over first; it was claimed with this one, unless another process was faster. */
  after: string | null
}

interface Look {
  ids: string[]
  /** Of each of them, the one before it. */
  earlier: (string | null)[]
  due: number
  waiting: number
}

interface ClaimedRow {
  id: string
  attempt: number
  /** As the database writes it, to the microsecond: an attempt that was given back untried is counted anew. */
  lease_until: string
  account_id: string
  prediction_id: string
  endpoint_id: string | null
  url: string
  host: string
  event: string
  body_id: string
  due_at: Date
}

export interface ClaimRequest {
  limit: number
  slotsPerAccount: number
  leaseSeconds: number
  saturation: Saturation
  /** Looks behind a backlog, too. */
  wide: boolean
}
