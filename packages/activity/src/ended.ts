/**
 * SQL: everything that has ended, a row each, with what usage counts of it. `numbered` says which numbers (see `usage_seq`)
 * are meant, in terms of a column; `also`, in terms of an account's column, whose.
 *
 * A call that was taken for lost and ended after all has two numbers: under the old one it failed, and under the new one
 * that is taken back.
 */
export function endedRows(numbered: (column: string) => string, also: (column: string) => string): string {
  // Behind `offset 0` only the number counts for the choice of an index: by an account's there would be more to read.
  const from = (table: string, which: string) =>
    `(select * from ${table} where ${which} offset 0) numbered where ${also('account_id')}`
  return `
  ${predictionRows(`select prediction_id from ${from('outcomes', numbered('seq'))}`)}
  union all
  select account_id, 'prediction', model, key_id, status, completed_at, ${runMs}, input_tokens, output_tokens, charged, tags, 1
  from ${from('removed_predictions', numbered('seq'))} and completed_at is not null
  union all
  ${callRows(from('requests', numbered('seq')))}
  union all
  ${lostRows(1, from('requests', numbered('lost_seq')))}
  union all
  ${lostRows(-1, `${from('requests', numbered('seq'))} and lost_seq is not null`)}`
}

/** The same of the predictions that `ids`, a select, names. */
export const predictionRows = (ids: string): string => `
  select p.account_id, 'prediction' as kind, p.model, p.key_id, p.status, p.completed_at as at, p.ms, p.input_tokens,
         p.output_tokens, p.charged as credits, p.tags, 1 as sign
  from (${ids}) o cross join lateral (
    select *, ${runMs} as ms, tokens_in(tags, output) as input_tokens, tokens_out(tags, output) as output_tokens
    from predictions where id = o.prediction_id offset 0
  ) p`

/** The same of calls. */
export const callRows = (from: string): string => `
  select account_id, surface as kind, ${callModel} as model, key_id, case status when 'timeout' then 'failed' else status end as status,
         ended_at as at, duration_ms::float8 as ms, input_tokens, output_tokens, credits, null::json as tags, 1 as sign
  from ${from}`

const lostRows = (sign: 1 | -1, from: string): string => `
  select account_id, surface, ${callModel}, key_id, 'failed', greatest(started_at, coalesce(alive_at, started_at)), null,
         null, null, 0, null::json, ${sign}
  from ${from}`

/** SQL: whether that row of something that has ended is in the totals. */
export const isCounted = (table: string): string =>
  `coalesce(${table}.seq <= (select rolled from usage_state), true)`

/** A name of any length may be asked for; an index takes no more. */
export const callModel = 'left(model, 256)'

const runMs = 'round(extract(epoch from completed_at - started_at) * 1000)::float8'
