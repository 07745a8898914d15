import { type Database, transaction } from '@millrace/database/connect'
import { isUnreachable, retryConflicts, untilReachable } from '@millrace/database/faults'
import type { KeptJob } from '@millrace/database/tables'
import type { Price } from '@millrace/ledger/price'
import { columnsOf } from './columns.ts'
import { rangeOf } from './id-range.ts'
import type { Lifecycle } from './lifecycle.ts'
import { endpointsOf, type Moved, postEvents, type SubscribedEndpoint } from './outbox.ts'
import { newRotation, pickRuns, type Rotation } from './pick.ts'
import { type Place, placesQuery, roomIn } from './places.ts'
import type { PredictionRow } from './present.ts'
import { renew } from './renew.ts'
import { transitions } from './transitions.ts'

/**
 * Takes up to `limit` free runs of `model` for `worker`, as ./pick.ts says: the attempt rises, the lease runs from the
 * database's clock, and what was pending becomes starting. Where the model is `warm` it begins with that: what had not
 * begun is processing, and its time to run counts. A run that somebody holds is not free, so a bell that rings twice
 * claims nothing the second time.
 */
export async function claim(lifecycle: Lifecycle, request: ClaimRequest): Promise<Claim[]> {
  return (await claimWithin(lifecycle, request)).claims
}

/**
 * The same, and whether it stayed short of `limit` because too many runs are under way in all workers together (`full`),
 * or although there may be `more` to claim.
 */
export async function claimWithin(lifecycle: Lifecycle, request: ClaimRequest): Promise<Claimed> {
  const { model, limit, worker, leaseSeconds, warm = false, once = false, places = [], draw } = request
  const { rotation = newRotation(), except = [] } = request
  let taken: ClaimedRow[] = []
  let more = false
  let answeredAt = 0
  let room = limit
  const rows = await retryConflicts(() =>
    transaction(lifecycle.db, async (client, last) => {
      taken = []
      room = await roomIn(client, places, limit)
      more = false
      if (room === 0) return []
      const picked = await pickRuns(client, { model, wanted: room, rotation, except, draw })
      more = picked.more
      // Should the connection break now, somebody has a turn more than is theirs.
      rotation.rounds = picked.rounds
      const ids = [...picked.runs.keys()]
      if (ids.length === 0) return []
      const values = [ids, ...rangeOf(ids), worker, leaseSeconds, warm, once]
      const { rows } = await client.query<ClaimedRow>({ name: 'claim', text: claimStatement, values })
      answeredAt = performance.now()
      const named = rows.map((row) => {
        const limits = picked.runs.get(row.id)?.limits ?? []
        row.limited = limits.some(({ name }) => picked.near.has(name))
        return { id: row.id, attempt: row.attempt, names: [...places, ...limits].map(({ name }) => name) }
      })
      const begun = placesQuery(named)
      if (begun) last(begun)
      const owing = await postEvents(client, lifecycle.links, rows.flatMap(movesOf))
      for (const row of rows) row.owes = owing.has(row.id)
      taken = rows
      return rows
    }),
  ).catch((error: unknown) => {
    if (taken.length === 0 || !isUnreachable(error)) throw error
    return findOurs(lifecycle.db, taken, request)
  })
  const claims = rows.map((row) => ({
    row,
    id: row.id,
    attempt: row.attempt,
    startBy: answeredAt + row.start_seconds * 1000,
    crashes: row.crashes,
    tries: row.tries,
    job: row.job ?? undefined,
    autoFallback: row.auto_fallback,
    price: row.price ?? undefined,
    begun: row.begun,
    expires: row.expires,
    owes: row.owes ?? false,
    limited: row.limited,
  }))
  return { claims, full: room < limit && claims.length === room, more }
}

/**
 * The connection broke while the claim was committed. What is ours by now shows in what can be renewed; unasked, it
 * would be run only after its lease, as if this worker had died under it.
 */
async function findOurs(
  db: Database,
  taken: ClaimedRow[],
  { worker, leaseSeconds }: ClaimRequest,
): Promise<ClaimedRow[]> {
  const fences = taken.map(({ id, attempt }) => ({ id, attempt }))
  const renewed = () => renew(db, { fences, worker, leaseSeconds })
  const ours = await untilReachable(renewed, leaseSeconds * 1000)
  return taken.filter(({ id }) => ours.has(id))
}

/** What begins in the same move has been starting for no time, and whoever asked to be told of it is. */
function movesOf(row: ClaimedRow): Moved[] {
  const { endpoints, event_seq: seq } = row
  const event = row.first ? transitions.claim.event : transitions.reclaim.event
  if (!row.starts) return [{ row, event, seq, endpoints }]
  return [
    { row: { ...row, status: 'starting', started_at: null }, event, seq: seq - 1, endpoints },
    { row, event: transitions.start.event, seq, endpoints },
  ]
}

const claimStatement = `
  with found as materialized (
    -- one that may have killed its process gets a process to itself, which is not warm; what is late is only to be stopped
    select r.prediction_id, r.run_by is null as waits,
           $6::boolean and r.crashes = 0 and (r.run_by is not null or least(r.start_by, r.expires_at) > clock_timestamp()) as begins, (
             select (p.timeouts ->> 'run')::integer from predictions p where p.id = r.prediction_id and p.id between $2 and $3
           ) as run_seconds
    from runs r where r.prediction_id = any($1::uuid[])
  ), held as (
    update runs r
    set attempt = r.attempt + 1, worker = $4, lease_until = clock_timestamp() + make_interval(secs => $5),
        event_seq = r.event_seq + 1 + (found.begins and found.waits)::integer, progress = null, rerun = not $7::boolean,
        run_by = case when found.begins then clock_timestamp() + make_interval(secs => found.run_seconds)
                      -- it has begun before, and gets a new deadline when it begins again
                      when not found.waits then 'infinity'::timestamptz end
    from found
    where r.prediction_id = any($1::uuid[]) and r.prediction_id = found.prediction_id
    returning r.prediction_id, r.attempt, r.event_seq, r.crashes, r.tries, r.job, r.auto_fallback, r.price, found.begins, found.waits,
      extract(epoch from least(r.start_by, r.expires_at) - clock_timestamp())::float8 as start_seconds,
      coalesce(r.expires_at <= r.start_by, false) as expires
  ), moved as (
    update predictions p
    set status = case when held.begins then 'processing' when p.status = 'pending' then 'starting' else p.status end,
        cold_boot = case when held.begins then false else p.cold_boot end,
        started_at = case when held.begins then coalesce(p.started_at, greatest(clock_timestamp(), p.created_at)) else p.started_at end,
        attempt = held.attempt, updated_at = greatest(clock_timestamp(), p.updated_at)
    from held
    where p.id = held.prediction_id and p.id between $2 and $3
    returning ${columnsOf('p')}, held.event_seq, held.start_seconds, held.expires, held.crashes, held.tries, held.job, held.auto_fallback, held.price, held.attempt = 1 as first,
      held.begins as begun, held.begins and held.waits as starts
  ), told as (
    insert into prediction_events (prediction_id, seq, kind, attempt, data, created_at)
    select id, event_seq, 'status', attempt, json_build_object('status', status)::text, updated_at from moved
  )
  select moved.*, ${endpointsOf('moved')} from moved order by id`

export interface ClaimRequest {
  model: string
  limit: number
  worker: string
  leaseSeconds: number
  /** The model is set up and takes its input as it is, so that a run begins as soon as it is claimed. */
  warm?: boolean
  /** Which turn of the priorities this is, from 0 to 1: by chance, unless it is given. */
  draw?: number
  /** Where the turns of the accounts are, which this moves on; they begin with the first account unless it is given. */
  rotation?: Rotation
  /** Accounts of which nothing is taken now. */
  except?: string[]
  /** The model has effects outside: what is claimed now is never claimed again, unless it is handed back untouched. */
  once?: boolean
  /** Where only so many runs may be under way at a time. */
  places?: Place[]
}

/** A run that this worker holds. Every later write names `id` and `attempt`: that is the fence. */
export interface Claim extends Fence {
  row: PredictionRow
  /**
   * When its time to start ends: what the database said is left, on this process's `performance.now()`. It may be over
   * already where a job was kept that is to be stopped.
   */
  startBy: number
  /** Then it has expired, rather than run out of its time to start. */
  expires: boolean
  crashes: number
  /** How often its host was found unavailable. */
  tries: number
  /** What an earlier attempt left at work. */
  job: KeptJob | undefined
  autoFallback: boolean
  /** As it was fixed when it was accepted, whichever model serves it; undefined where it is free. */
  price: Price | undefined
  /** It is processing, with a new deadline: nobody need `begin` it. */
  begun: boolean
  /** Webhooks wait to be sent. */
  owes: boolean
  /** Its account, or its key, may only have so many under way and is near that: others of theirs may wait for its end. */
  limited: boolean
}

export interface Claimed {
  claims: Claim[]
  full: boolean
  more: boolean
}

export interface Fence {
  id: string
  attempt: number
}

type ClaimedRow = PredictionRow & {
  event_seq: number
  start_seconds: number
  expires: boolean
  crashes: number
  tries: number
  job: KeptJob | null
  auto_fallback: boolean
  price: Price | null
  /** Its first attempt. */
  first: boolean
  begun: boolean
  /** It began with this claim, and never before. */
  starts: boolean
  owes?: boolean
  limited: boolean
  endpoints: SubscribedEndpoint[] | null
}
