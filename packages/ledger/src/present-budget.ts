import type { Budget } from '@millrace/contract/budget'
import { toTypeId } from '@millrace/database/ids'
import type { BudgetTable } from '@millrace/database/tables'
import type { Selectable } from 'kysely'
import { periodAt } from './budget-period.ts'
import { asCredits } from './micro.ts'

/** A budget as the API shows it at a moment. What its row has counted in a period that is over is nothing in this one. */
export function presentBudget(row: BudgetRow, now: Date): Budget {
  const period = periodAt(row.period, now)
  const isOver = period !== undefined && row.period_start < period.start
  const { spent, held } = isOver ? { spent: 0, held: 0 } : row
  const key = row.key_ids?.at(-1)
  return {
    id: toTypeId('budget', row.id),
    name: row.name,
    scope: row.scope,
    key_id: key === undefined ? null : toTypeId('key', key),
    tag:
      row.tag_name === null || row.tag_value === null ? null : { name: row.tag_name, value: row.tag_value },
    period: row.period,
    hard_cap: row.hard_cap === null ? null : asCredits(row.hard_cap),
    thresholds: row.thresholds,
    credit_limit: row.credit_limit,
    spent: asCredits(spent),
    held: asCredits(held),
    remaining: row.hard_cap === null ? null : asCredits(Math.max(0, row.hard_cap - spent - held)),
    period_start: period?.start.toISOString() ?? null,
    resets_at: period?.end.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  }
}

export type BudgetRow = Selectable<BudgetTable>
