import type { Database } from '@millrace/database/connect'
import type { AccountBalance } from './settle-calls.ts'

/** What these accounts have, what is held of that included: millionths of a credit. Nothing of those that never had any. */
export async function readBalances(
  { pool }: Database,
  accountIds: readonly string[],
): Promise<AccountBalance[]> {
  const { rows } = await pool.query<AccountBalance>({
    name: 'read-balances',
    text: 'select account_id as "accountId", balance from balances where account_id = any($1::uuid[])',
    values: [accountIds],
  })
  return rows
}
