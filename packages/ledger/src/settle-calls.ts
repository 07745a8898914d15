import type { Database } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { tellLowBalances, usualWarning } from './balance-warning.ts'
import { chargeBudgets } from './charge-budgets.ts'

/**
 * Charges calls that have ended and gives back what was held for them, many in one statement. What a call cost may be more
 * than was held, and takes the balance below zero if it must. Safe to repeat: a call is charged once, and its hold is given
 * back once; without a charge only by its owner, since another process may be at the call by now. A charge whose hold is
 * gone already counts in the budgets that its account and key have by now. Answers what each account of them has now, in
 * millionths of a credit.
 */
export async function settleCalls(
  { pool }: Database,
  settles: readonly CallSettle[],
  balanceWarning = usualWarning,
): Promise<AccountBalance[]> {
  const { rows } = await pool.query<AccountBalance>({
    name: 'settle-calls',
    text: statement,
    values: [
      settles.map(({ id }) => id),
      settles.map(({ accountId }) => accountId),
      settles.map(({ keyId }) => keyId ?? null),
      settles.map(({ model }) => model),
      settles.map(({ charge }) => charge),
      settles.map(() => newId()),
      balanceWarning,
      settles.map(({ owner }) => owner ?? null),
    ],
  })
  return rows
}

const statement = `
  with incoming as materialized (
    select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::uuid[], $8::uuid[])
      as i(id, account_id, key_id, model, charge, entry_id, owner)
  ), accounts as materialized (
    select account_id, balance from balances where account_id = any($2::uuid[]) order by account_id for update
  ), charged as (
    insert into ledger_entries (id, account_id, kind, debit, credit, amount, call_id, key_id, model)
    select i.entry_id, i.account_id, 'charge', 'account', 'revenue', i.charge, i.id, i.key_id, i.model
    from incoming i join accounts using (account_id) where i.charge > 0
    on conflict do nothing
    returning call_id, account_id, amount
  ), released as (
    delete from call_holds h using incoming i join accounts using (account_id)
    where h.id = i.id and (i.charge > 0 or h.owner is not distinct from i.owner)
    returning h.id, h.account_id, h.amount, h.budgets
  ), moves as (
    select account_id, sum(charge) as charge, sum(hold) as hold from (
      select account_id, amount as charge, 0 as hold from charged
      union all select account_id, 0, amount from released
    ) m group by account_id
  ), moved as (
    update balances b set balance = b.balance - m.charge, held = b.held - m.hold
    from moves m where b.account_id = m.account_id
    returning b.account_id, b.balance, b.balance + m.charge as before
  ), told as (${tellLowBalances('moved', '$7')}
  ), unheld as materialized (
    select c.account_id, i.key_id, c.amount from charged c join incoming i on i.id = c.call_id
    where c.call_id not in (select id from released)
  ), missed as materialized (
    select b.id, b.period_start, u.amount from unheld u join budgets b using (account_id)
    where b.scope = 'account' or b.scope = 'key' and u.key_id = any(b.key_ids)
    order by b.id for update of b
  ), ended as materialized (
    select r.budgets, r.amount as hold, coalesce(c.amount, 0) as charge
    from released r left join charged c on c.call_id = r.id where r.budgets is not null
    union all
    select json_build_array(json_build_object('id', id, 'since', period_start)), 0, amount from missed
  ), ${chargeBudgets('ended')}
  select a.account_id as "accountId", coalesce(m.balance, a.balance) as balance
  from accounts a left join moved m using (account_id)`

/** How one call ended. */
export interface CallSettle {
  /** The call's: of its row in the activity log. */
  id: string
  accountId: string
  keyId?: string | undefined
  /** The model as it was asked for. */
  model: string
  /** Millionths of a credit; 0 gives back what was held, and no more. */
  charge: number
  /** The process that was at it. */
  owner?: string | undefined
}

/** What an account has, what is held of that included: millionths of a credit. */
export interface AccountBalance {
  accountId: string
  balance: number
}
