import type { Database } from '@millrace/database/connect'

/**
 * A worker says that it is up, what it serves, and under which aliases it serves that as well. Those that were silent for
 * an hour are forgotten.
 */
export async function announceWorker(
  db: Database,
  name: string,
  models: readonly string[],
  aliases: readonly string[] = [],
): Promise<void> {
  const names = [...models, ...aliases.map(markAlias)]
  await db.pool.query({ name: 'announce-worker', text: announceStatement, values: [name, names] })
}

/** It serves nothing any more. */
export async function dismissWorker(db: Database, name: string): Promise<void> {
  await db.pool.query('delete from workers where name = $1', [name])
}

/** The workers that serve a model, be it under an alias, and were heard of within the last `silentSeconds`. */
export async function findWorkers(db: Database, model: string): Promise<string[]> {
  const { rows } = await db.pool.query<{ name: string }>({
    name: 'find-workers',
    text: `select name from workers
           where models && $1::text[] and seen_at > clock_timestamp() - make_interval(secs => $2)`,
    values: [[model, markAlias(model)], silentSeconds],
  })
  return rows.map(({ name }) => name)
}

/** All workers that were heard of within the last `silentSeconds`, by the names of the models that each serves. */
export async function readWorkers(db: Database): Promise<Set<string>[]> {
  const { rows } = await db.pool.query<{ models: string[] }>({
    name: 'read-workers',
    text: 'select models from workers where seen_at > clock_timestamp() - make_interval(secs => $1)',
    values: [silentSeconds],
  })
  return rows.map(({ models }) => new Set(models.map((name) => name.replace(markAlias(''), ''))))
}

/**
 * Which of these models nobody serves: no worker says so, and none holds one of its oldest runs, as one of release 0.1
 * would, which does not say that it is up.
 */
export async function findUnserved(db: Database, models: readonly string[]): Promise<string[]> {
  const { rows } = await db.pool.query<{ model: string }>({
    name: 'find-unserved',
    text: unservedStatement,
    values: [
      JSON.stringify([...new Set(models)].map((name) => ({ name, alias: markAlias(name) }))),
      silentSeconds,
    ],
  })
  return rows.map(({ model }) => model)
}

const unservedStatement = `
  select m.name as model from json_to_recordset($1) as m(name text, alias text)
  where not exists (
    select from workers w where w.models && array[m.name, m.alias] and w.seen_at > clock_timestamp() - make_interval(secs => $2)
  ) and not exists (
    select from (
      select worker from runs r where r.model = m.name order by r.prediction_id limit 100
    ) front where worker is not null
  )`

/** No slug has a space in it. */
const markAlias = (alias: string): string => `alias ${alias}`

/** Three times what lies between two words of a worker. */
export const silentSeconds = 15

const announceStatement = `
  with forgotten as (
    delete from workers where name in (
      select name from workers where seen_at < clock_timestamp() - interval '1 hour' order by name for update skip locked)
  )
  insert into workers (name, models, seen_at) values ($1, $2, clock_timestamp())
  on conflict (name) do update set models = excluded.models, seen_at = excluded.seen_at`
