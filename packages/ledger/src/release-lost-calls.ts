import type { Database } from '@millrace/database/connect'
import { chargeBudgets } from './charge-budgets.ts'

/**
 * Gives back what is held for calls whose process went in the middle of them, up to `most` at a time: for a minute it has
 * said nothing, and the database was there to hear it since `there.since`, in seconds since 1970. What such a call gave its client is not known, so nothing
 * is charged; should the process be back, it charges what it knows. Answers their number.
 */
export async function releaseLostCalls(
  { pool }: Database,
  there: { since: number },
  most = 1000,
): Promise<number> {
  const { rows } = await pool.query<{ count: number }>({
    name: 'release-lost-calls',
    text: statement,
    values: [silentSeconds, there.since, most],
  })
  return rows[0]?.count ?? 0
}

/** Three times what lies between two words of a process (see ./till.ts). */
const silentSeconds = 60

const statement = `
  with lost as materialized (
    select id, account_id from call_holds
    where alive_at < clock_timestamp() - make_interval(secs => $1)
      and clock_timestamp() > to_timestamp($2::float8) + make_interval(secs => $1)
    limit $3
  ), accounts as materialized (
    select account_id from balances where account_id in (select account_id from lost) order by account_id for update
  ), released as (
    delete from call_holds h using lost l join accounts using (account_id)
    where h.id = l.id and h.alive_at < clock_timestamp() - make_interval(secs => $1)
    returning h.account_id, h.amount, h.budgets
  ), moved as (
    update balances b set held = b.held - m.hold
    from (select account_id, sum(amount) as hold from released group by account_id) m
    where b.account_id = m.account_id
  ), ended as materialized (
    select budgets, amount as hold, 0 as charge from released where budgets is not null
  ), ${chargeBudgets('ended')}
  select count(*)::integer as count from released`
