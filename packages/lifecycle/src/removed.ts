/**
 * SQL that notes what the activity goes on to show of deleted predictions, which are rows of `from`. `seq` is the number
 * under which each was, or is to be, counted among what has ended.
 */
export const keepRemoved = (from: string, { where, seq }: { where: string; seq: string }): string => `
  insert into removed_predictions (id, account_id, key_id, request_id, model, served_by, status, error_id, source, tags, charged,
                                   input_tokens, output_tokens, created_at, started_at, completed_at, seq)
  select id, account_id, key_id, request_id, model, served_by, status, error_id, source, tags, charged,
         tokens_in(tags, output), tokens_out(tags, output), created_at, started_at, completed_at, ${seq}
  from ${from} where ${where}
  on conflict (id) do update
    set status = excluded.status, error_id = excluded.error_id, served_by = excluded.served_by, charged = excluded.charged,
        input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens, started_at = excluded.started_at,
        completed_at = excluded.completed_at, seq = excluded.seq`
