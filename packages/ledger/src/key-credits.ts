import type { CreditLimit } from '@millrace/contract/budget'
import type { Connection } from '@millrace/database/connect'
import { createBudget } from './budgets.ts'
import { asMicros } from './micro.ts'

/**
 * Sets what a key may spend in a period: a budget of its own, within the transaction that changes the key. Null takes the
 * limit away. Another period begins with nothing spent; another amount leaves what was spent as it is.
 */
export async function setCreditLimit(
  connection: Connection,
  { accountId, keyId, limit }: { accountId: string; keyId: string; limit: CreditLimit | null },
): Promise<void> {
  const hardCap = limit && asMicros(limit.credits)
  const kept = await connection.query(
    `update budgets set hard_cap = $3, updated_at = clock_timestamp()
     where account_id = $1 and credit_limit and $2 = any(key_ids) and period = $4`,
    [accountId, keyId, hardCap, limit?.period ?? null],
  )
  if (kept.rowCount === 1) return
  const { rows } = await connection.query<{ key_ids: string[] }>(
    'delete from budgets where account_id = $1 and credit_limit and $2 = any(key_ids) returning key_ids',
    [accountId, keyId],
  )
  if (limit === null) return
  const of = { scope: 'key', keyIds: rows[0]?.key_ids ?? [keyId] } as const
  const made = await createBudget(connection, accountId, {
    name: 'Credit limit',
    of,
    period: limit.period,
    hardCap,
    thresholds: [],
    creditLimit: true,
  })
  if (!made) throw new TooManyBudgets()
}

/** An account has as many budgets as it may. */
export class TooManyBudgets extends Error {
  override readonly name = 'TooManyBudgets'
}

/** Has a key that replaces another count in the budgets of that one, which goes on counting in them for as long as it works. */
export async function followRotation(
  connection: Connection,
  { accountId, from, to }: { accountId: string; from: string; to: string },
): Promise<void> {
  await connection.query(
    'update budgets set key_ids = key_ids || $3::uuid where account_id = $1 and $2 = any(key_ids)',
    [accountId, from, to],
  )
}

/** A column for a statement on `api_keys`: the credit limit of each key, {credits, period} or null. */
export const creditLimitOf = (keys: string): string => `
  (select json_build_object('credits', b.hard_cap / 1000000.0, 'period', b.period) from budgets b
   where b.account_id = ${keys}.account_id and b.credit_limit and ${keys}.id = any(b.key_ids) limit 1)`
