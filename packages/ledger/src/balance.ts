import type { Database } from '@millrace/database/connect'

/** What an account has, in micros; one that never had money has nothing. */
export async function readBalance({ pool }: Database, accountId: string): Promise<Balance> {
  const { rows } = await pool.query<Balance>({
    name: 'read-balance',
    text: 'select balance, held, balance - held as available from balances where account_id = $1',
    values: [accountId],
  })
  return rows[0] ?? { balance: 0, held: 0, available: 0 }
}

/** Micros: all that there is, what of it is held for what is under way, and the rest. */
export interface Balance {
  balance: number
  held: number
  available: number
}
