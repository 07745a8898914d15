import type { BudgetPeriod, BudgetThreshold } from '@millrace/contract/budget'
import type { Connection, Database } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { type Found, type Page, pageRows } from '@millrace/database/page'
import type { BudgetRow } from './present-budget.ts'

/** Makes a budget that counts from now on. Undefined when its account has as many as it may. */
export async function createBudget(
  connection: Connection,
  accountId: string,
  { name, of, period, hardCap, thresholds, creditLimit = false }: NewBudget,
): Promise<BudgetRow | undefined> {
  const { rows } = await connection.query<BudgetRow>(
    `insert into budgets (id, account_id, name, scope, key_ids, tag_name, tag_value, period, hard_cap, thresholds, credit_limit, period_start)
     select $1, $2, $3, $4, $5::uuid[], $6, $7, $8, $9, $10, $11, budget_period_start($8, clock_timestamp())
     where (select count(*) from budgets where account_id = $2) < ${mostBudgets}
     returning *`,
    [
      newId(),
      accountId,
      name,
      of.scope,
      of.scope === 'key' ? of.keyIds : null,
      of.scope === 'tag' ? of.name : null,
      of.scope === 'tag' ? of.value : null,
      period,
      hardCap,
      JSON.stringify(thresholds),
      creditLimit,
    ],
  )
  return rows[0]
}

/** That an account may have: each is looked at for everything that it asks for. */
export const mostBudgets = 1_000

/** A page of an account's budgets, newest first. */
export function pageBudgets({ kysely }: Database, accountId: string, page: Page): Promise<Found<BudgetRow>> {
  const own = kysely.selectFrom('budgets').where('account_id', '=', accountId)
  return pageRows(own, page)
}

/** An account's budget, if there is one with this id. */
export async function findBudget(
  { kysely }: Database,
  accountId: string,
  id: string,
): Promise<BudgetRow | undefined> {
  return await kysely
    .selectFrom('budgets')
    .selectAll()
    .where('id', '=', id)
    .where('account_id', '=', accountId)
    .executeTakeFirst()
}

/** An account's budget, which nobody else changes until the transaction is over. */
export async function lockBudget(
  connection: Connection,
  accountId: string,
  id: string,
): Promise<BudgetRow | undefined> {
  const { rows } = await connection.query<BudgetRow>(
    'select * from budgets where id = $1 and account_id = $2 for no key update',
    [id, accountId],
  )
  return rows[0]
}

/** Changes what is given of a budget. Undefined when it is gone. */
export async function changeBudget(
  connection: Connection,
  accountId: string,
  id: string,
  { name, hardCap, thresholds }: BudgetChange,
): Promise<BudgetRow | undefined> {
  const { rows } = await connection.query<BudgetRow>(
    `update budgets set updated_at = clock_timestamp(), name = coalesce($3, name),
       hard_cap = case when $4::boolean then $5 else hard_cap end, thresholds = coalesce($6::json, thresholds)
     where id = $1 and account_id = $2 returning *`,
    [
      id,
      accountId,
      name,
      hardCap !== undefined,
      hardCap ?? null,
      thresholds === undefined ? null : JSON.stringify(thresholds),
    ],
  )
  return rows[0]
}

/** Removes a budget; what is under way counts in it no more. Answers it as it was; undefined when it is gone. */
export async function removeBudget(
  connection: Connection,
  accountId: string,
  id: string,
): Promise<BudgetRow | undefined> {
  const { rows } = await connection.query<BudgetRow>(
    'delete from budgets where id = $1 and account_id = $2 returning *',
    [id, accountId],
  )
  return rows[0]
}

/** What is undefined stays. */
export interface BudgetChange {
  name?: string | undefined
  hardCap?: number | null | undefined
  thresholds?: BudgetThreshold[] | undefined
}

/** What a budget to be counts, in what time, and what it allows. Money in micros. */
export interface NewBudget {
  name: string
  of:
    | { scope: 'account' }
    | { scope: 'key'; keyIds: readonly string[] }
    | { scope: 'tag'; name: string; value: string }
  period: BudgetPeriod
  hardCap: number | null
  thresholds: BudgetThreshold[]
  /** It is the credit limit of its key. */
  creditLimit?: boolean
}
