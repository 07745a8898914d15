import type { Database } from '@millrace/database/connect'

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
