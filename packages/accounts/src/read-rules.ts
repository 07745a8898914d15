import type { ModelRules } from '@millrace/contract/plan'
import type { Database } from '@millrace/database/connect'

/** Which models an account and one of its keys may use at this moment, for whoever works for them later. */
export async function readRules(db: Database, accountId: string, keyId: string | null): Promise<ReadRules> {
  const { rows } = await db.pool.query<RulesRow>({
    name: 'model-rules',
    text: `select p.settings -> 'models' as plan, k.id as "keyId", k.name as "keyName", k.models
           from accounts a join plans p on p.name = a.plan left join api_keys k on k.id = $2 and k.account_id = a.id
           where a.id = $1`,
    values: [accountId, keyId],
  })
  const [row] = rows
  return {
    rules: [row?.plan, row?.models],
    models: row?.models ?? null,
    ...(row?.keyId ? { key: { id: row.keyId, name: row.keyName ?? '' } } : {}),
  }
}

interface RulesRow {
  plan: ModelRules | null
  keyId: string | null
  keyName: string | null
  models: ModelRules | null
}

/** `rules`: all that hold, for `allowsModel`; `models`: those of the key. */
export interface ReadRules {
  rules: readonly (ModelRules | null | undefined)[]
  models: ModelRules | null
  key?: { id: string; name: string }
}
