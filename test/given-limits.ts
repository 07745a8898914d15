import type { Limits, PlanSettings } from '@millrace/contract/plan'
import type { Database } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'

/** Puts an account, a new one unless it is given, on a plan of its own. Answers its id. */
export async function givenOnPlan(
  { pool }: Database,
  { account = newId(), weight = 1, ...settings }: OnPlan = {},
): Promise<string> {
  const plan = `plan-${newId()}`
  await pool.query('insert into plans (name, settings) values ($1, $2)', [plan, JSON.stringify(settings)])
  await pool.query(
    `insert into accounts (id, name, plan, weight) values ($1::uuid, $1::uuid::text, $2, $3)
     on conflict (id) do update set plan = excluded.plan, weight = excluded.weight`,
    [account, plan, weight],
  )
  return account
}

/** A key of an account that has limits of its own. Answers its id; nobody can call with it. */
export async function givenLimitedKey(
  { pool }: Database,
  account: string,
  limits: Limits | null,
): Promise<string> {
  const id = newId()
  await pool.query(
    `insert into api_keys (id, account_id, name, prefix, digest, limits) values ($1, $2, 'limited', 'mr_limited', $3, $4)`,
    [id, account, Buffer.from(id), limits && JSON.stringify(limits)],
  )
  return id
}

type OnPlan = PlanSettings & { account?: string; weight?: number }
