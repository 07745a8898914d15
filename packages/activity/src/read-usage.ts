import type { Database } from '@millrace/database/connect'
import { endedRows } from './ended.ts'

/**
 * What ended within a time, by groups: the totals, and what is not among them yet. What it reads are the hours or days of
 * that time, however much ended in them. Where nothing has been added to the totals for long, what is missing is bounded
 * as well, and `complete` is false.
 */
export async function readUsage({ pool }: Database, asked: UsageAsked): Promise<Usage> {
  const { accountId, from, to, by, tag, models, keyId, kind } = asked
  const span = by === 'tag' || tag?.value !== undefined ? 'tag' : asked.hourly ? 'hour' : 'day'
  const { rows } = await pool.query<UsageGroup & { live: number }>({
    name: `read-usage-${by}-${span}`,
    text: statement(by, span),
    values: [
      accountId,
      from,
      to,
      models ?? null,
      keyId ?? null,
      kind ?? null,
      tag?.name ?? null,
      tag?.value ?? null,
    ],
  })
  const complete = (rows[0]?.live ?? 0) < mostLive
  return { groups: rows.filter(({ total }) => total !== 0), complete }
}

/** What a group of everything sums up to. */
export function sumOf(groups: readonly UsageGroup[]): UsageGroup {
  const counts = new Map<number, number>()
  const sum = { ...emptyGroup }
  for (const group of groups) {
    for (const name of sums) sum[name] += group[name]
    for (const [at, bucket] of group.buckets.entries())
      counts.set(bucket, (counts.get(bucket) ?? 0) + (group.counts[at] ?? 0))
  }
  const buckets = [...counts.keys()].sort((a, b) => a - b)
  return { ...sum, buckets, counts: buckets.map((bucket) => counts.get(bucket) ?? 0) }
}

/**
 * The seconds that such a share of what was measured took at most, to within a twentieth; null where nothing was.
 * `duration_bucket` in the database says which bucket has which milliseconds.
 */
export function quantileOf({ buckets, counts }: UsageGroup, share: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0)
  let left = Math.max(1, Math.ceil(share * total))
  for (const [at, bucket] of buckets.entries()) {
    left -= counts[at] ?? 0
    if (left <= 0) return Math.round(1.1 ** (bucket - 0.5)) / 1000
  }
  return null
}

/** Of what is not in the totals. */
const mostLive = 20_000

const sums = [
  'total',
  'succeeded',
  'failed',
  'cancelled',
  'ms',
  'input_tokens',
  'output_tokens',
  'credits',
] as const

const emptyGroup: UsageGroup = {
  group: '',
  total: 0,
  succeeded: 0,
  failed: 0,
  cancelled: 0,
  ms: 0,
  input_tokens: 0,
  output_tokens: 0,
  credits: 0,
  buckets: [],
  counts: [],
}

/** Each says the group as a text. */
const groupings: Readonly<Record<UsageBy, string>> = {
  all: `''`,
  model: 'model',
  key: `coalesce(key_id::text, '')`,
  type: 'kind',
  hour: `to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24":00:00.000Z"')`,
  day: `to_char(at at time zone 'UTC', 'YYYY-MM-DD')`,
  tag: 'json_build_array(tag_name, tag_value)::text',
}

const live = endedRows(
  (column) => `${column} > (select rolled from usage_state)`,
  (column) => `${column} = $1`,
)

function statement(by: UsageBy, span: 'hour' | 'day' | 'tag'): string {
  const unit = span === 'hour' ? 'hour' : 'day'
  const tagged = span === 'tag'
  return `
  with live as materialized (select * from (${live}) as ended limit ${mostLive}),
  each as materialized (
    select at, tag_name, tag_value, kind, model, key_id, ${sums.join(', ')}, buckets, counts
    from usage_totals where account_id = $1 and span = '${span}' and at >= $2 and at < $3
    union all
    select date_trunc('${unit}', at, 'UTC'), ${tagged ? 't.key, t.value' : 'null, null'}, kind, model, key_id, sign,
      case when status = 'succeeded' then sign else 0 end, case when status = 'failed' then sign else 0 end,
      case when status = 'cancelled' then sign else 0 end, coalesce(ms, 0)::bigint, coalesce(input_tokens, 0),
      coalesce(output_tokens, 0), credits, array_remove(array[duration_bucket(ms)], null), array[1::bigint]
    from live ${tagged ? `cross join lateral json_each_text(tags) t` : ''}
    where at >= $2 and at < $3 ${tagged ? `and t.key not like 'millrace:%'` : ''}
  ), chosen as materialized (
    select ${groupings[by]} as "group", * from each
    where ($4::text[] is null or model = any($4)) and ($5::uuid is null or key_id = $5) and ($6::text is null or kind = $6)
      and ($7::text is null or tag_name = $7) and ($8::text is null or tag_value = $8)
  ), spread as (
    select "group", array_agg(bucket order by bucket) as buckets, array_agg(n order by bucket) as counts
    from (
      select "group", bucket, sum(n)::float8 as n from chosen cross join lateral unnest(buckets, counts) as d(bucket, n)
      where bucket is not null group by "group", bucket
    ) counted group by "group"
  )
  select "group", ${sums.map((sum) => `sum(${sum})::float8 as ${sum}`).join(', ')}, coalesce(s.buckets, '{}') as buckets,
    coalesce(s.counts, '{}') as counts, (select count(*) from live)::integer as live
  from chosen left join spread s using ("group") group by "group", s.buckets, s.counts`
}

/** By what usage is grouped; `all`: not at all. */
export type UsageBy = 'all' | 'model' | 'key' | 'type' | 'hour' | 'day' | 'tag'

export interface UsageAsked {
  accountId: string
  /** Whole hours where `hourly`, else whole days, in UTC; `to` is exclusive. */
  from: Date
  to: Date
  hourly: boolean
  by: UsageBy
  /** Only what has this tag; grouped by tags, only that tag, or only its one value. */
  tag?: { name: string; value?: string | undefined } | undefined
  models?: readonly string[] | undefined
  keyId?: string | undefined
  kind?: string | undefined
}

export interface Usage {
  groups: UsageGroup[]
  /** False where more is waiting to be added to the totals than was looked at. */
  complete: boolean
}

/** Sums; `ms` of time, `credits` in millionths. Of durations, how many there are in which bucket. */
export interface UsageGroup {
  /** A model, the uuid of a key or nothing, a kind, a day, an hour, or `[tag, value]` as JSON. */
  group: string
  total: number
  succeeded: number
  failed: number
  cancelled: number
  ms: number
  input_tokens: number
  output_tokens: number
  credits: number
  buckets: number[]
  counts: number[]
}
