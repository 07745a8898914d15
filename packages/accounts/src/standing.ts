import type { Database } from '@millrace/database/connect'
import type { Retention } from '@millrace/database/tables'

/** Whether an account may still ask for something, and how long it keeps what it has; one that is gone may not. */
export async function readStanding(db: Database, accountId: string): Promise<Standing> {
  const { rows } = await db.pool.query<Standing>({
    name: 'account-standing',
    text: `select ${standingOf('a')} from accounts a where a.id = $1`,
    values: [accountId],
  })
  return rows[0] ?? { suspended: true, retention: {} }
}

/** The columns of a `Standing`, for a statement that has `accounts` under this name. */
export function standingOf(accounts: string): string {
  return `${accounts}.suspended_at is not null as suspended,
          json_strip_nulls(json_build_object('files_days', ${accounts}.retention_files_days,
                                             'data_days', ${accounts}.retention_data_days)) as retention`
}

/** What an account may do at this moment. */
export interface Standing {
  suspended: boolean
  /** What the account's files and values are kept for at most. */
  retention: Retention
}
