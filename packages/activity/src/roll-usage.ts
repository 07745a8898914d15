import { type Connection, type Database, transaction } from '@millrace/database/connect'
import { callRows, endedRows, predictionRows } from './ended.ts'

/**
 * Adds what has ended to the totals of its hour and day, each thing once, whoever else does the same and wherever one of
 * them is cut off: the sums and the number up to which they go change together. Answers how many numbers it went on.
 *
 * What ended has a number before it is committed, so higher ones may be seen before lower ones. Therefore first a number
 * that is given out already is looked up, then a transaction id is taken: once all older transactions are over, nothing
 * up to that number is still to come.
 */
export async function rollUsage(db: Database, atOnce = mostNumbers): Promise<number> {
  const { last, rolled } = await readNumbers(db)
  if (last <= rolled) return 0
  const { rows: taken } = await db.pool.query<{ xid: string }>('select pg_current_xact_id()::text as xid')
  const xid = taken[0]?.xid ?? '0'
  return transaction(db, async (client) => {
    const { rows } = await client.query<{ rolled: number }>('select rolled from usage_state for update')
    const from = rows[0]?.rolled ?? 0
    const to = Math.min(last, from + atOnce)
    if (to <= from) return 0
    // In a statement of its own after the lock, so that the next one cannot see less than this one.
    const { rows: over } = await client.query<{ over: boolean }>(
      'select pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8 as over',
      [xid],
    )
    if (!over[0]?.over) return 0
    await client.query(addStatement, [from, to])
    await client.query('update usage_state set rolled = $1', [to])
    return to - from
  })
}

/** How many numbers were given out that are not in the totals yet. */
export async function numbersWaiting(db: Database): Promise<number> {
  const { last, rolled } = await readNumbers(db)
  return last - rolled
}

async function readNumbers({ pool }: Database): Promise<{ last: number; rolled: number }> {
  const { rows } = await pool.query<{ last: number; rolled: number }>({
    name: 'read-usage-numbers',
    text: 'select case when is_called then last_value else 0 end as last, rolled from usage_seq, usage_state',
  })
  return rows[0] ?? { last: 0, rolled: 0 }
}

/**
 * Adds what had ended before anything had a number, oldest first. Answers whether there may be more.
 */
export async function fillUsage(db: Database): Promise<boolean> {
  const { rows } = await db.pool.query<Filled>(
    'select filled_predictions is not null as predictions, filled_requests is not null as requests from usage_state',
  )
  const { predictions, requests } = rows[0] ?? { predictions: false, requests: false }
  if (!predictions && !requests) return false
  return transaction(db, async (client) => {
    if (predictions) return (await fill(client, 'filled_predictions', oldPredictions)) || requests
    return fill(client, 'filled_requests', oldRequests)
  })
}

/** Removes the totals of up to `limit` hours that are long over; those of their days stay. Answers their number. */
export async function removeOldHours({ pool }: Database, limit: number): Promise<number> {
  const { rowCount } = await pool.query(
    `delete from usage_totals where ctid = any(array(
       select ctid from usage_totals where span = 'hour' and at < clock_timestamp() - make_interval(days => $1)
       order by at limit $2))`,
    [hourDays, limit],
  )
  return rowCount ?? 0
}

/** For how long there are totals by the hour. */
export const hourDays = 92

async function fill(client: Connection, column: keyof typeof fillSteps, old: string): Promise<boolean> {
  const { rows } = await client.query<{ after: string | null }>(
    `select ${column} as after from usage_state for update`,
  )
  const after = rows[0]?.after
  if (after === undefined || after === null) return true
  const { rows: found } = await client.query<{ id: string }>(fillSteps[column], [after, filledAtOnce])
  const ids = found.map(({ id }) => id)
  if (ids.length > 0) await client.query(totalled(old), [ids, ids[0], ids.at(-1)])
  const next = ids.length === filledAtOnce ? ids.at(-1) : null
  await client.query(`update usage_state set ${column} = $1`, [next])
  return next !== null
}

const fillSteps = {
  filled_predictions: `select prediction_id as id from outcomes where prediction_id > $1 and seq is null order by prediction_id limit $2`,
  filled_requests: `select id from requests where id > $1 and seq is null and ended_at is not null order by id limit $2`,
}

const oldPredictions = predictionRows(
  'select unnest as prediction_id from unnest($1::uuid[]) where unnest between $2 and $3',
)
const oldRequests = callRows('requests where id = any($1::uuid[]) and id between $2 and $3')

const mostNumbers = 10_000
const filledAtOnce = 5_000

/** Of one tag and day; what comes after them is counted together. */
export const mostTagValues = 1_000

const sums = ['total', 'succeeded', 'failed', 'cancelled', 'ms', 'input_tokens', 'output_tokens', 'credits']
const keys = 'account_id, span, at, tag_name, tag_value, kind, model, key_id'

/** Adds rows of what has ended to the totals. */
const totalled = (ended: string): string => `
  with ended as materialized (${ended}),
  tagged as (
    select e.*, date_trunc('day', e.at, 'UTC') as day, t.key as tag_name, t.value as tag_value
    from ended e cross join lateral json_each_text(e.tags) t where t.key not like 'millrace:%'
  ), used as (
    select v.*, exists (
      select from usage_totals u where u.account_id = v.account_id and u.span = 'tag' and u.at = v.day
        and u.tag_name = v.tag_name and u.tag_value = v.tag_value) as known
    from (select distinct account_id, day, tag_name, tag_value from tagged) v
  ), room as (
    select n.*, ${mostTagValues} - (
      select count(distinct u.tag_value) from usage_totals u
      where u.account_id = n.account_id and u.span = 'tag' and u.at = n.day and u.tag_name = n.tag_name)::integer as room
    from (select distinct account_id, day, tag_name from used where not known) n
  ), others as (
    select account_id, day, tag_name, tag_value from (
      select u.*, r.room, row_number() over (partition by u.account_id, u.day, u.tag_name order by u.tag_value) as place
      from used u join room r using (account_id, day, tag_name) where not u.known
    ) placed where place > room
  ), each as (
    select e.account_id, s.span, date_trunc(s.span, e.at, 'UTC') as at, null::text as tag_name, null::text as tag_value,
      e.kind, e.model, e.key_id, e.status, e.ms, e.input_tokens, e.output_tokens, e.credits, e.sign
    from ended e cross join (values ('hour'), ('day')) as s(span)
    union all
    select t.account_id, 'tag', t.day, t.tag_name,
      case when (t.account_id, t.day, t.tag_name, t.tag_value) in (select account_id, day, tag_name, tag_value from others)
           then null else t.tag_value end,
      t.kind, t.model, t.key_id, t.status, t.ms, t.input_tokens, t.output_tokens, t.credits, t.sign
    from tagged t
  ), summed as (
    select ${keys}, sum(sign) as total, coalesce(sum(sign) filter (where status = 'succeeded'), 0) as succeeded,
      coalesce(sum(sign) filter (where status = 'failed'), 0) as failed,
      coalesce(sum(sign) filter (where status = 'cancelled'), 0) as cancelled,
      coalesce(sum(ms), 0)::bigint as ms, coalesce(sum(input_tokens), 0) as input_tokens,
      coalesce(sum(output_tokens), 0) as output_tokens, coalesce(sum(credits), 0)::bigint as credits,
      array_agg(duration_bucket(ms)) filter (where ms is not null) as durations
    from each group by ${keys}
  )
  insert into usage_totals as u (${keys}, ${sums.join(', ')}, buckets, counts)
  select ${keys}, ${sums.join(', ')}, coalesce(d.buckets, '{}'), coalesce(d.counts, '{}')
  from summed cross join lateral (
    select array_agg(bucket order by bucket) as buckets, array_agg(n order by bucket) as counts
    from (select bucket, count(*) as n from unnest(summed.durations) as bucket group by bucket) counted
  ) d
  order by ${keys}
  on conflict (${keys}) do update
  set ${sums.map((sum) => `${sum} = u.${sum} + excluded.${sum}`).join(', ')},
    (buckets, counts) = (
      select coalesce(array_agg(bucket order by bucket), '{}'), coalesce(array_agg(n order by bucket), '{}')
      from (
        select bucket, sum(n)::bigint as n from (
          select * from unnest(u.buckets, u.counts) as old(bucket, n)
          union all select * from unnest(excluded.buckets, excluded.counts) as new(bucket, n)
        ) as both_of_them group by bucket
      ) merged
    )`

const addStatement = totalled(
  endedRows(
    (column) => `${column} > $1 and ${column} <= $2`,
    () => 'true',
  ),
)

interface Filled {
  predictions: boolean
  requests: boolean
}
