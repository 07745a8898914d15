import { isFull, limitsOf } from './caps.ts'
import { isFree } from './free-runs.ts'
import { nobody } from './nobody.ts'

/** After every account and key. */
const last = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

/**
 * SQL: common table expressions after `with recursive`, of which `open_lines` has the lines that have something to claim
 * and whose account and key may have more under way, each with its first run and what limits it.
 *
 * `seeds` selects where to look: `model`, `priority`, the account `start` after which the round begins, how many accounts
 * are `wanted` beside those `except`, for how many seconds the first run must have been free (`late`), and `only` one account or null.
 *
 * It leaps from line to line in the index. So a line costs the same however much waits in it, and a line that is at its
 * limit costs a look. It goes no further than the accounts that are wanted; `walk` has a row that is `enough` where
 * there are more.
 */
export const openLines = (seeds: string, maxCrashes: string, except = `'{}'`): string => `
  seeds as materialized (${seeds}),
  walk as (
    select s.model, s.priority, s.start, s.wanted, s.late, s.only, s.start as account_id, '${last}'::uuid as lane, 0 as round,
      0 as found, null::uuid as counted, false as enough, null::float8 as turn, null::text as pool, null::real as weight, null::json as limits, false as is_full
    from seeds s
    union all
    select w.model, w.priority, w.start, w.wanted, w.late, w.only, n.account_id, n.lane, n.round,
      w.found + (front.turn is not null and limited.is_full is not true and n.account_id is distinct from w.counted)::integer,
      case when front.turn is not null and limited.is_full is not true then n.account_id else w.counted end,
      enough.yes, front.turn, front.pool, limited.weight, limited.limits, limited.is_full
    from walk w cross join lateral (
      (${nextLine('w.round', '(r.account_id, r.lane) > (w.account_id, w.lane)')})
      union all
      (${nextLine('1', 'w.round = 0')})
      limit 1
    ) n cross join lateral (
      select w.found >= w.wanted and n.account_id <> w.account_id as yes
    ) enough left join lateral (
      select extract(epoch from r.turn)::float8 as turn, r.pool from runs r
      where r.model = w.model and r.priority = w.priority and r.account_id = n.account_id and r.lane = n.lane
        and r.run_at <= clock_timestamp() - make_interval(secs => w.late) and ${isFree(maxCrashes)}
      order by r.turn, r.prediction_id limit 1
    ) front on not enough.yes and n.account_id <> all(${except}::uuid[]) left join lateral (
      select stated.weight, stated.limits, stated.limits is not null and ${isFull('stated.limits')} as is_full
      -- looked up once, however often it is named
      from (select * from (${limitsOf({ account: 'n.account_id', lane: 'n.lane', model: 'w.model' })}) looked_up offset 0) stated
    ) limited on front.turn is not null
    where not w.enough and (n.round = 0 or n.account_id <= w.start)
      and (w.only is null or n.account_id = w.only)
  ),
  open_lines as (
    select model, priority, account_id, lane, turn, pool, coalesce(weight, 1) as weight, limits from walk
    where turn is not null and is_full is not true
  )`

/** SQL: seeds of all lines of some `models`, for one account of each priority whose first run has been free for so many seconds. */
export const seedsOf = (models: string, late: string): string => `
  select m.model, p.priority, '${nobody}'::uuid as start, 1 as wanted, ${late}::float8 as late, null::uuid as only
  from (${models}) m, unnest('{0,1,2}'::smallint[]) as p(priority)`

/** SQL: recursive common table expression `models`, of all that have something in line: by leaping from one to the next in the index. */
export const everyModel = `
  models as (
    (select model from runs where parked_until is null order by model limit 1)
    union all
    select (select r.model from runs r where r.parked_until is null and r.model > m.model order by r.model limit 1) from models m
    where m.model is not null
  )`

function nextLine(round: string, which: string): string {
  return `
    select r.account_id, r.lane, ${round} as round from runs r
    where r.model = w.model and r.priority = w.priority and r.parked_until is null and ${which}
    order by r.account_id, r.lane limit 1`
}

/** The account just before one: a round that begins after it begins with that one. */
export function justBefore(account: string): string {
  if (account === nobody) return nobody
  const number = BigInt(`0x${account.replaceAll('-', '')}`) - 1n
  return number
    .toString(16)
    .padStart(32, '0')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
