import type { Database } from '@millrace/database/connect'

/**
 * Sets money aside for calls that are about to begin, many in one statement. Of each account they are served in their
 * order: whoever finds too little left is refused, and those after it may still find enough. Safe to repeat with the same
 * ids when the outcome of the first try is unknown.
 */
export async function holdCalls({ pool }: Database, holds: readonly CallHold[]): Promise<HoldAnswer[]> {
  const { rows } = await pool.query<HoldAnswer & { id: string }>({
    name: 'hold-calls',
    text: statement,
    values: [
      holds.map(({ id }) => id),
      holds.map(({ accountId }) => accountId),
      holds.map(({ keyId }) => keyId ?? null),
      holds.map(({ amount }) => amount),
    ],
  })
  const answers = new Map(rows.map(({ id, held, balance }) => [id, { held, balance }]))
  return holds.map(({ id }) => answers.get(id) ?? { held: false, balance: 0 })
}

// Whoever holds or charges locks the balances first, in the order of accounts: nobody waits in a circle.
const statement = `
  with recursive incoming as materialized (
    select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[])
      with ordinality as i(id, account_id, key_id, amount, place)
  ), accounts as materialized (
    select account_id, balance, balance - held as free from balances
    where account_id = any($2::uuid[]) order by account_id for update
  ), turns as materialized (
    select i.id, i.account_id, i.amount, row_number() over (partition by i.account_id order by i.place) as turn
    from incoming i where not exists (select from call_holds h where h.id = i.id)
  ), served as (
    select account_id, 0::bigint as turn, null::uuid as id, free, false as held from accounts
    union all
    select s.account_id, t.turn, t.id, case when t.amount <= s.free then s.free - t.amount else s.free end,
           t.amount <= s.free
    from served s join turns t on t.account_id = s.account_id and t.turn = s.turn + 1
  ), stored as (
    insert into call_holds (id, account_id, key_id, amount)
    select i.id, i.account_id, i.key_id, i.amount from incoming i join served s on s.id = i.id where s.held
    on conflict (id) do nothing
    returning account_id, amount
  ), moved as (
    update balances b set held = b.held + s.amount
    from (select account_id, sum(amount) as amount from stored group by account_id) s
    where b.account_id = s.account_id
  )
  select i.id, coalesce(a.balance, 0) as balance,
         coalesce(s.held, exists (select from call_holds h where h.id = i.id)) as held
  from incoming i left join served s on s.id = i.id left join accounts a on a.account_id = i.account_id`

/** What one call may cost. */
export interface CallHold {
  /** The call's: of its row in the activity log. */
  id: string
  accountId: string
  keyId?: string | undefined
  /** Millionths of a credit, more than 0. */
  amount: number
}

/** Whether it is set aside, and what the account has, what is held of that included: millionths of a credit. */
export interface HoldAnswer {
  held: boolean
  balance: number
}
