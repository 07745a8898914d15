import { type OverLimit, type PlanSettings, readSettings } from '@millrace/contract/plan'
import type { Database } from '@millrace/database/connect'
import type { Retention } from '@millrace/database/tables'

/** Whether an account may still ask for something, and how long it keeps what it has; one that is gone may not. */
export async function readStanding(db: Database, accountId: string): Promise<Standing> {
  const { rows } = await db.pool.query<StandingRow>({
    name: 'account-standing',
    text: `select ${standingOf('a')} from accounts a where a.id = $1`,
    values: [accountId],
  })
  return rows[0] ? asStanding(rows[0]) : noStanding
}

/** The columns of a `Standing`, for a statement that has `accounts` under this name. */
export function standingOf(accounts: string): string {
  return `${accounts}.suspended_at is not null as suspended,
          json_strip_nulls(json_build_object('files_days', ${accounts}.retention_files_days,
                                             'data_days', ${accounts}.retention_data_days)) as retention,
          ${accounts}.weight, ${accounts}.over_limit,
          (select json_build_object('name', p.name, 'settings', p.settings) from plans p where p.name = ${accounts}.plan) as plan`
}

/** The standing that a row with those columns tells. */
export function asStanding({ suspended, retention, weight, over_limit, plan }: StandingRow): Standing {
  const settings = readSettings(plan.settings)
  const overLimit = over_limit ?? settings.over_limit ?? 'queue'
  return { suspended, retention, weight, overLimit, plan: { ...settings, name: plan.name } }
}

/** Of nobody. */
export const noStanding: Standing = {
  suspended: true,
  retention: {},
  weight: 1,
  overLimit: 'queue',
  plan: { name: '' },
}

/** What an account may do at this moment. */
export interface Standing {
  suspended: boolean
  /** What the account's files and values are kept for at most. */
  retention: Retention
  /** Its share of the turns of a model. */
  weight: number
  /** What happens to its predictions beyond those that may run at a time. */
  overLimit: OverLimit
  plan: PlanSettings & { name: string }
}

/** The columns of `standingOf`. */
export interface StandingRow extends Pick<Standing, 'suspended' | 'retention' | 'weight'> {
  over_limit: OverLimit | null
  plan: { name: string; settings: unknown }
}
