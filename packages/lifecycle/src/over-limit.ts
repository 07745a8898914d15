import type { Database } from '@millrace/database/connect'
import { limitsOf } from './caps.ts'
import type { Place } from './places.ts'

/**
 * What limits how many predictions an account and a key may have under way of a model, each with how many there are that
 * run or wait, counted as far as it matters. `except` are not counted.
 */
export async function countUnfinished(
  db: Database,
  { account, key, model, except }: Asked,
): Promise<(Place & { unfinished: number })[]> {
  const { rows } = await db.pool.query<Place & { unfinished: number }>({
    name: 'count-unfinished',
    text: statement,
    values: [account, key, model, except],
  })
  return rows
}

/** The names of all limits that a prediction may count for. */
export const limitNames = ({ account, key, model }: Omit<Asked, 'except'>): string[] =>
  [`account ${account}`, `key ${key}`].flatMap((owner) => [owner, `${owner} model ${model}`])

const statement = `
  select l.name, l."limit", (
    select count(*)::integer from (
      select from runs r
      where r.account_id = $1 and r.parked_until is null and r.prediction_id <> all($4::uuid[])
        and (l.name not like 'key %' or r.key_id = $2) and (l.name not like '% model %' or r.model = $3)
      limit l."limit"
    ) unfinished
  ) as unfinished
  from (${limitsOf({ account: '$1::uuid', lane: '$2::uuid', model: '$3::text' })}) stated,
    json_to_recordset(stated.limits) as l(name text, "limit" integer)`

interface Asked {
  account: string
  key: string
  /** The name under which it waits. */
  model: string
  except: string[]
}
