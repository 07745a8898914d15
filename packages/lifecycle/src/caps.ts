import type { Database } from '@millrace/database/connect'
import { nobody } from './nobody.ts'
import { type Place, takenAt, underWayAt } from './places.ts'

/**
 * SQL: one row with the `weight` of an account and, as json, the `limits` `{name, limit}` on what may be under way in one
 * of its lines; null where there are none. They are read where they are stated, its plan and its key, at each claim: what
 * an operator changes counts at once. `name` is that of their places (./places.ts).
 */
export const limitsOf = ({ account, lane, model }: Record<'account' | 'lane' | 'model', string>): string => `
  select held.weight, (
    select json_agg(json_build_object('name', stated.name, 'limit', stated.running)) from (
      select 'account ' || ${account} as owner, held.limits
      union all
      select 'key ' || k.id, k.limits from api_keys k where k.id = ${lane}
    ) o cross join lateral (
      select o.owner as name, (o.limits ->> 'running')::integer as running
      union all
      select o.owner || ' model ' || ${model}, min((m.value ->> 'running')::integer) from json_each(o.limits -> 'models') m
      where ${model} like replace(replace(replace(replace(m.key, '\\', '\\\\'), '%', '\\%'), '_', '\\_'), '*', '%')
    ) stated
    where o.limits is not null and stated.running is not null
  ) as limits
  from (
    select a.weight, p.settings -> 'limits' as limits from accounts a left join plans p on p.name = a.plan
    where a.id = ${account} limit 1
  ) held`

/** Says which limit it is that a run waits for. */
export function limitText({ name, limit }: Place): string {
  const owner = name.startsWith('key ') ? 'key' : 'account'
  const of = / model /.test(name) ? ' of this model' : ''
  return `Its ${owner} may run ${limit}${of} at a time.`
}

/** Of these runs, those that wait for a limit of their account or key, and for which. */
export async function findLimited(db: Database, ids: string[]): Promise<Map<string, Place>> {
  if (ids.length === 0) return new Map()
  const { rows } = await db.pool.query<Place & { id: string }>(limitedStatement, [ids])
  return new Map(rows.map(({ id, name, limit }) => [id, { name, limit }]))
}

/**
 * SQL: the line of its account in which a run stands, by its key: one of the key's own where only so many of it may be
 * under way, so that those it must wait with are in nobody's way.
 */
export const laneOf = (key: string): string => `
  coalesce((select k.id from api_keys k where k.id = ${key} and (k.limits ->> 'running' is not null or k.limits -> 'models' is not null)),
           '${nobody}')`

/** SQL: whether as many are under way as one of these `limits` allows, as far as is known without a lock. */
export const isFull = (limits: string): string => `exists (
  select from json_to_recordset(${limits}) as l(name text, "limit" integer) where ${isReached})`

// Which of them are over is only looked for where it matters.
const isReached = `
  case when ${takenAt('l.name')} >= l."limit" then ${underWayAt('l.name')} >= l."limit" else false end`

const limitedStatement = `
  select r.prediction_id as id, l.name, l."limit"
  from unnest($1::uuid[]) as asked(id), lateral (
    select * from runs where prediction_id = asked.id and worker is null limit 1
  ) r, lateral (${limitsOf({ account: 'r.account_id', lane: 'r.lane', model: 'r.model' })}) stated,
    json_to_recordset(stated.limits) as l(name text, "limit" integer)
  where ${isReached}`
