import type { Query } from '@millrace/database/connect'
import type { CountedIn } from '@millrace/database/tables'

/**
 * Turns what budgets hold for requests that have ended into what was spent, and notes the thresholds that are reached.
 * What was asked for in a period that is over counts in no later one. For a transaction that has locked the balances of
 * the accounts. None where nothing counts in a budget.
 */
export function chargeBudgetsQueries(ended: readonly EndedHold[]): Query[] {
  const counted = ended.flatMap(({ budgets, hold, charge }) =>
    (budgets ?? []).map((budget) => ({ ...budget, hold, charge })),
  )
  if (counted.length === 0) return []
  return [{ name: 'charge-budgets', text: statement, values: [JSON.stringify(counted)] }]
}

/** Parts of a statement that has `ended` (budgets, hold, charge) and has locked the balances. */
export const chargeBudgets = (ended: string): string => `counts as materialized (
    select (c ->> 'id')::uuid as id, (c ->> 'since')::timestamptz as since, sum(hold)::bigint as hold, sum(charge)::bigint as charge
    from ${ended}, json_array_elements(budgets) c group by 1, 2
  ), charged_budgets as (
    update budgets b set held = b.held - c.hold, spent = b.spent + c.charge
    from counts c where b.id = c.id and b.period_start = c.since
    returning b.account_id, b.thresholds, b.hard_cap, b.spent - c.charge as before, b.spent, row_to_json(b) as budget
  ), thresholds_told as (
    insert into account_events (id, account_id, name, data)
    select gen_random_uuid(), account_id, 'budget.threshold', json_build_object('budget', budget, 'threshold', t)
    from charged_budgets, thresholds_reached(thresholds, hard_cap, before, spent) t
  )`

const statement = `
  with ended as materialized (
    select json_build_array(json_build_object('id', i.id, 'since', i.since)) as budgets, i.hold, i.charge
    from json_to_recordset($1) as i(id uuid, since text, hold bigint, charge bigint)
  ), ${chargeBudgets('ended')}
  select`

/** What was held for a request, what it is charged of that, and where both count. Micros. */
export interface EndedHold {
  budgets: CountedIn[] | null
  hold: number
  charge: number
}
