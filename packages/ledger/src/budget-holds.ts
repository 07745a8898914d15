/**
 * Parts of a statement that holds credits for requests which count in budgets. They need `priced` (id, hold, counts: false
 * for what holds nothing after all), `locked`, which has the account_id of each balance and has locked it, and a parameter
 * with the matches of ./match-budgets.ts as JSON.
 *
 * A request fits while the holds up to it, in the order of ids, fit into what is left of every budget that it counts in.
 * The rows are locked after the balances, and each is what it is once the lock is there. One whose period is over begins
 * the next one, with nothing spent or held.
 */
export const budgetRooms = (matches: string, locked: string): string => `matched as materialized (
    select request_id, budget_id from json_to_recordset(${matches}) as m(request_id uuid, budget_id uuid)
  ), budgeted as materialized (
    select b.id, b.hard_cap, p.since, b.hard_cap - case when p.since > b.period_start then 0 else b.spent + b.held end as room
    from budgets b join ${locked} using (account_id)
    cross join lateral (select greatest(b.period_start, budget_period_start(b.period, clock_timestamp())) as since) p
    where b.id in (select budget_id from matched) order by b.id for update of b
  ), overdrawn as materialized (
    select distinct on (id) id, budget_id, room from (
      select p.id, b.id as budget_id, b.room, sum(case when p.counts then p.hold else 0 end) over (partition by b.id order by p.id) as upto
      from priced p join matched m on m.request_id = p.id join budgeted b on b.id = m.budget_id
      where b.hard_cap is not null
    ) summed where upto > room order by id, room
  )`

/** Counts the holds of `fresh` (id, hold): what was stored in the end. */
export const countHolds = `counted as materialized (
    select b.id, b.since, sum(f.hold)::bigint as hold
    from fresh f join matched m on m.request_id = f.id join budgeted b on b.id = m.budget_id
    where f.hold > 0 group by b.id, b.since
  ), counting as (
    update budgets b
    set held = case when c.since > b.period_start then 0 else b.held end + c.hold,
        spent = case when c.since > b.period_start then 0 else b.spent end,
        period_start = c.since
    from counted c where b.id = c.id
  )`

/** What is noted with the hold of a request, for its end: the budgets and their periods. Its id by its full name. */
export const countedIn = (id: string): string => `(
      select json_agg(json_build_object('id', b.id, 'since', b.since)) from matched m join budgeted b on b.id = m.budget_id
      where m.request_id = ${id})`

/** Those of `overdrawn` with what their budget has left after all that was stored beside them. */
export const overdrafts = `
  select o.id, o.budget_id, (o.room - coalesce(c.hold, 0))::bigint as room
  from overdrawn o left join counted c on c.id = o.budget_id`
