import type { Connection } from '@millrace/database/connect'
import type { BudgetTable } from '@millrace/database/tables'
import type { Selectable } from 'kysely'

/**
 * Which budgets each of these requests counts in, for the statements that hold credits for them; nothing where their
 * accounts have none.
 */
export async function matchBudgets(connection: Connection, requests: readonly Counted[]): Promise<Match[]> {
  if (requests.length === 0) return []
  const { rows } = await connection.query<BudgetScopeRow>({
    name: 'budgets-of-accounts',
    text: `select id, account_id, scope, key_ids, tag_name, tag_value from budgets
           where account_id = any($1::uuid[]) order by id`,
    values: [[...new Set(requests.map(({ accountId }) => accountId))]],
  })
  if (rows.length === 0) return []
  const budgets = Map.groupBy(rows, ({ account_id }) => account_id)
  return requests.flatMap((request) =>
    (budgets.get(request.accountId) ?? [])
      .filter((budget) => countsIn(budget, request))
      .map((budget) => ({ request_id: request.id, budget_id: budget.id })),
  )
}

function countsIn(
  { scope, key_ids, tag_name, tag_value }: BudgetScopeRow,
  { keyId, tags }: Counted,
): boolean {
  switch (scope) {
    case 'account':
      return true
    case 'key':
      return keyId !== undefined && key_ids?.includes(keyId) === true
    case 'tag':
      return tag_name !== null && tags?.[tag_name] === tag_value
  }
}

type BudgetScopeRow = Pick<
  Selectable<BudgetTable>,
  'id' | 'account_id' | 'scope' | 'key_ids' | 'tag_name' | 'tag_value'
>

/** What a budget may count: a prediction or a call. */
export interface Counted {
  id: string
  accountId: string
  keyId?: string | undefined
  tags?: Readonly<Record<string, string>>
}

/** A request, and a budget that it counts in. */
export interface Match {
  request_id: string
  budget_id: string
}
