import { createAccount } from '@millrace/accounts/accounts'
import { createKeyRing } from '@millrace/accounts/api-keys'
import type { Database } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { createBudget, type NewBudget } from '@millrace/ledger/budgets'
import type { BudgetRow } from '@millrace/ledger/present-budget'
import type { Draft } from '@millrace/lifecycle/accept'
import { givenMoney } from './given-credits.ts'
import { draft } from './given-predictions.ts'

/** An account with so many micros. */
export async function givenRich(db: Database, micros = 1_000_000_000): Promise<string> {
  const accountId = await createAccount(db, createKeyRing('k'.repeat(32)), `account ${newId()}`)
  await givenMoney(db, accountId, micros)
  return accountId
}

/** A budget of an account, of all that it asks for in a month unless told otherwise. Answers its id. */
export async function givenBudget(
  db: Database,
  accountId: string,
  given: Partial<NewBudget> = {},
): Promise<string> {
  const row = await createBudget(db.pool, accountId, {
    name: '',
    of: { scope: 'account' },
    period: 'month',
    hardCap: null,
    thresholds: [],
    ...given,
  })
  if (!row) throw new Error('there are too many budgets')
  return row.id
}

/** What a budget has counted. */
export async function countsOf(db: Database, id: string): Promise<Pick<BudgetRow, 'held' | 'spent'>> {
  return db.kysely
    .selectFrom('budgets')
    .select(['held', 'spent'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

/** Moves a budget as if it had last been counted in before its period began. */
export async function endPeriod(db: Database, id: string): Promise<void> {
  await db.pool.query(
    `update budgets set period_start = budget_period_start(period, period_start - interval '1 second') where id = $1`,
    [id],
  )
}

/** A prediction at so many micros, ready to be accepted. */
export function pricedDraft(accountId: string, hold: number, given: Partial<Draft> = {}): Draft {
  return draft({ accountId, hold, price: { unit: 'prediction', rate: String(hold) }, ...given })
}

/** What endpoints are to be told, as it was noted: the names, with the thresholds of budgets. */
export async function notedEvents(db: Database): Promise<unknown[]> {
  const rows = await db.kysely.selectFrom('account_events').selectAll().orderBy('created_at').execute()
  return rows.map(({ name, data }) => {
    const { threshold } = data as { threshold?: unknown }
    return threshold === undefined ? name : threshold
  })
}
