import { createAccount } from '@millrace/accounts/accounts'
import { createKeyRing } from '@millrace/accounts/api-keys'
import type { Database } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { moveCredits } from '@millrace/ledger/move-credits'
import type { Price } from '@millrace/ledger/price'
import type { Draft } from '@millrace/lifecycle/accept'
import { draft } from './given-predictions.ts'

/** An account with so many micros. */
export async function givenFunds(db: Database, micros: number): Promise<string> {
  const accountId = await createAccount(db, createKeyRing('k'.repeat(32)), `account ${newId()}`)
  if (micros !== 0) await moveCredits(db, { accountId, amount: micros, reason: 'for a test' })
  return accountId
}

/** Gives an account, or takes from it, so much that it has just so many micros. */
export async function givenMoney(db: Database, accountId: string, micros: number): Promise<void> {
  const { balance } = await booksOf(db, accountId)
  if (micros !== balance) await moveCredits(db, { accountId, amount: micros - balance, reason: 'for a test' })
}

/** A prediction at so many micros, ready to be accepted. */
export function paidDraft(accountId: string, hold: number, given: Partial<Draft> = {}): Draft {
  return draft({ accountId, hold, price: flat(hold), ...given })
}

/** So many micros for each prediction. */
export const flat = (micros: number): Price => ({ unit: 'prediction', rate: String(micros) })

/**
 * What must always be true of an account's money, read in one snapshot: its entries sum up to its balance, and what its
 * predictions hold to what is held; every hold of what ended is its charge and what was released; each is charged once.
 */
export async function booksOf(db: Database, accountId: string): Promise<Books> {
  const { rows } = await db.pool.query<Books>(
    `select coalesce((select balance from balances where account_id = $1), 0)::bigint as balance,
            coalesce((select held from balances where account_id = $1), 0)::bigint as held,
            coalesce((select sum(case when credit = 'account' then amount else -amount end) from ledger_entries where account_id = $1), 0)::bigint as entered,
            coalesce((select sum(hold) from runs where account_id = $1), 0)::bigint as holds,
            coalesce((select sum(charged) from predictions where account_id = $1), 0)::bigint as charged,
            coalesce((select sum(amount) from ledger_entries where account_id = $1 and kind = 'charge' and prediction_id is not null), 0)::bigint as charges`,
    [accountId],
  )
  const [books] = rows
  if (!books) throw new Error('no books')
  return books
}

/** Micros. */
export interface Books {
  balance: number
  held: number
  entered: number
  holds: number
  charged: number
  charges: number
}
