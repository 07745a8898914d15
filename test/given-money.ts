import type { Database } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'

/** Gives an account so much that it has just that: millionths of a credit. */
export async function givenMoney({ pool }: Database, accountId: string, micros: number): Promise<void> {
  await pool.query(
    `with had as (select coalesce(sum(balance), 0) as balance from balances where account_id = $2),
          booked as (
            insert into ledger_entries (id, account_id, kind, debit, credit, amount, reason)
            select $1, $2, case when $3 > balance then 'topup' else 'debit' end,
                   case when $3 > balance then 'funding' else 'account' end,
                   case when $3 > balance then 'account' else 'funding' end, abs($3 - balance), 'For a test'
            from had where $3 <> balance)
     insert into balances (account_id, balance) values ($2, $3)
     on conflict (account_id) do update set balance = excluded.balance`,
    [newId(), accountId, micros],
  )
}

/** What the books say of an account, in millionths of a credit. */
export async function moneyOf({ pool }: Database, accountId: string): Promise<Money> {
  const { rows } = await pool.query<Money>(
    `select balance, held,
       (select coalesce(sum(amount), 0)::bigint from call_holds h where h.account_id = b.account_id) as holds,
       (select coalesce(sum(case when credit = 'account' then amount else -amount end), 0)::bigint
        from ledger_entries e where e.account_id = b.account_id) as entries,
       (select count(*) from ledger_entries e where e.account_id = b.account_id and kind = 'charge') as charges
     from balances b where account_id = $1`,
    [accountId],
  )
  const [money] = rows
  if (!money) throw new Error('The account has no balance')
  return money
}

/** `held` is what the balance says, `holds` the sum of the calls under way, `entries` the sum of the ledger. */
export interface Money {
  balance: number
  held: number
  holds: number
  entries: number
  charges: number
}
