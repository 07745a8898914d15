import type { Database } from '@millrace/database/connect'
import { rangeOf } from '@millrace/lifecycle/id-range'
import { emptyValues } from './empty-values.ts'
import type { PurgeContext } from './purge.ts'

/**
 * Carries out the retention that predictions have of their own, where their request, model or account asked for less
 * than the service keeps: their files end now, for the sweep of files to remove, and their values go. Answers how many
 * it looked at. Cut off anywhere, it is done again: what is left to do is noted last.
 */
export async function expireEarly({ db }: Pick<PurgeContext, 'db'>): Promise<number> {
  const due = await db.pool.query<{ id: string }>(dueStatement)
  const ids = due.rows.map(({ id }) => id)
  if (ids.length === 0) return 0

  const { rows } = await db.pool.query<Looked>(lookStatement, [ids, ...rangeOf(ids)])
  const idsOf = (chosen: Looked[]) => chosen.map(({ id }) => id)
  await endFiles(db, idsOf(rows.filter(({ files_over }) => files_over)))
  await emptyValues(db, idsOf(rows.filter(({ data_over }) => data_over)))
  await note(
    db,
    ids,
    rows.filter(({ next }) => next !== null),
  )
  return ids.length
}

/** So many in one call. */
export const expiredAtOnce = 200

async function endFiles(db: Database, ids: string[]): Promise<void> {
  if (ids.length === 0) return
  await db.pool.query(
    `update files set expires_at = clock_timestamp()
     where prediction_id = any($1::uuid[]) and (expires_at is null or expires_at > clock_timestamp())`,
    [ids],
  )
}

/** What has something left to expire is looked at again; what is done, or gone altogether, is forgotten. */
async function note(db: Database, ids: string[], left: Looked[]): Promise<void> {
  await db.pool.query(
    `with later as (
       update expiries e set due_at = l.due_at
       from unnest($2::uuid[], $3::timestamptz[]) as l(id, due_at) where e.prediction_id = l.id
     )
     delete from expiries where prediction_id = any($1::uuid[]) and prediction_id <> all($2::uuid[])`,
    [ids, left.map(({ id }) => id), left.map(({ next }) => next)],
  )
}

const dueStatement = `
  select prediction_id as id from expiries where due_at <= (select clock_timestamp())
  order by due_at limit ${expiredAtOnce}`

// One that has not ended cannot be over before its days have passed from now on. A webhook that is still to be sent holds
// the values: its body tells them. `offset 0` and the floor are as in ./purge.ts.
const lookStatement = `
  select id, files_over, data_over and not owes as data_over,
         case when completed_at is null then clock_timestamp() + files_for
              when not files_over then completed_at + files_for
              when data_over and owes then clock_timestamp() + interval '1 minute'
              when not data_over then completed_at + data_for end as next
  from (
    select p.id, p.completed_at, files_for, data_for,
           coalesce(p.completed_at + files_for <= clock_timestamp(), false) as files_over,
           -- null where the values stay as long as the service's
           case when data_for is not null then coalesce(p.completed_at + data_for <= clock_timestamp(), false) end as data_over,
           exists (select from deliveries d
                   where d.prediction_id = p.id and d.completed_at is null
                     and d.id >= uuid_floor(p.created_at - interval '1 minute') offset 0) as owes
    from predictions p, lateral (
      select least((p.retention ->> 'files_days')::float8, (p.retention ->> 'data_days')::float8)
               * interval '1 day' as files_for,
             (p.retention ->> 'data_days')::float8 * interval '1 day' as data_for offset 0
    ) as kept
    where p.id = any($1::uuid[]) and p.id between $2 and $3
  ) looked`

interface Looked {
  id: string
  files_over: boolean
  data_over: boolean | null
  /** When to look at it again; null: everything was carried out. */
  next: Date | null
}
