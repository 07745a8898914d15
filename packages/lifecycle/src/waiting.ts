import type { Database } from '@millrace/database/connect'
import { isFree } from './free-runs.ts'
import { maxAttempts } from './lifecycle.ts'
import { everyModel, justBefore, openLines, seedsOf } from './open-lines.ts'

/**
 * Which of these models have a run that has been free to claim for `seconds`, of an account and a key that may have more
 * under way. Reads the front of each line only.
 */
export async function findWaiting(db: Database, models: string[], seconds: number): Promise<string[]> {
  const { rows } = await db.pool.query<{ model: string }>({
    name: 'find-waiting',
    text: statement,
    values: [models, seconds, maxAttempts],
  })
  return rows.map(({ model }) => model)
}

/**
 * Of which models something of these accounts is free to claim and may be under way, what has waited longest first. Asked
 * when one of those has ended that an account, or its key, may only have so many of.
 */
export async function findFreed(db: Database, accounts: string[]): Promise<Freed[]> {
  const { rows } = await db.pool.query<Freed>({
    name: 'find-freed',
    text: freedStatement,
    values: [accounts, accounts.map(justBefore), maxAttempts],
  })
  return rows
}

/** How many runs of a model are free to claim, counted as far as `most`. */
export async function countWaiting(
  db: Database,
  model: string,
  most = 10_000,
): Promise<{ waiting: number; capped: boolean }> {
  const { rows } = await db.pool.query<{ waiting: number }>(countStatement, [model, most + 1, maxAttempts])
  const waiting = rows[0]?.waiting ?? 0
  return { waiting: Math.min(waiting, most), capped: waiting > most }
}

const freedStatement = `
  with recursive ${everyModel}, ${openLines(
    `select m.model, p.priority, a.before as start, 1 as wanted, 0::float8 as late, a.id as only
     from models m, unnest('{0,1,2}'::smallint[]) as p(priority), unnest($1::uuid[], $2::uuid[]) as a(id, before)
     where m.model is not null`,
    '$3',
  )}
  select account_id as account, model, pool from open_lines group by 1, 2, 3 order by min(turn)`

const countStatement = `
  select count(*)::integer as waiting from (
    select from runs where model = $1 and run_at <= clock_timestamp() and ${isFree('$3')} limit $2
  ) counted`

const statement = `
  with recursive ${openLines(seedsOf('select unnest($1::text[]) as model', '$2'), '$3')}
  select distinct model from open_lines`

interface Freed {
  account: string
  model: string
  pool: string
}
