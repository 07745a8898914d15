import type { Connection, Database } from '@millrace/database/connect'
import { faultOf } from '@millrace/database/faults'
import { ensurePartitions, type PartitionWidth } from '@millrace/database/partitions'
import { sanitise } from '@millrace/database/sanitise'
import { rangeOf } from '@millrace/lifecycle/id-range'
import type { Row } from './request-log.ts'

/**
 * Writes calls as they stand: a row for each that is new, and its end where it has one. Rows must be in the order of
 * their ids. May be repeated: a call that has ended stays as it ended.
 */
export async function writeRequests(db: Database, partitions: PartitionWidth, rows: Row[]): Promise<void> {
  try {
    await write(db.pool, rows)
  } catch (error) {
    if (faultOf(error) !== 'no-partition') throw error
    // No partition holds this day yet.
    await ensurePartitions(db.pool, partitions)
    await write(db.pool, rows)
  }
}

/** The process of these calls is still at them. */
export async function sayAlive({ pool }: Database, ids: string[]): Promise<void> {
  await pool.query({
    name: 'requests-alive',
    text: `update requests set alive_at = clock_timestamp()
           where id = any($1::uuid[]) and id between $2 and $3 and status = 'running'`,
    // In the order in which they began, which is not that of ids that were given out before.
    values: [ids, ...rangeOf(ids)],
  })
}

async function write(connection: Connection, rows: Row[]): Promise<void> {
  const column = <T>(read: (row: Row) => T) => rows.map(read)
  await connection.query({
    name: 'write-requests',
    text: statement,
    values: [
      column(({ id }) => id),
      column(({ accountId }) => accountId),
      column(({ requestId }) => requestId),
      column(({ key }) => key?.id ?? null),
      column(({ key }) => key?.name ?? null),
      column(({ surface }) => surface),
      column(({ model }) => sanitise(model)),
      column(({ stream }) => stream),
      column(({ startedAt }) => startedAt),
      column(({ end }) => end?.status ?? 'running'),
      column(({ end }) => end?.httpStatus ?? null),
      column(({ end }) => end?.errorId ?? null),
      column(({ end }) => end?.failure && sanitise(end.failure.slice(0, 2000))),
      column(({ end }) => end?.servedModel ?? null),
      column(({ end }) => end?.host ?? null),
      column(({ end }) => (end?.tries && end.tries.length > 1 ? JSON.stringify(sanitise(end.tries)) : null)),
      column(({ end }) => end?.tokens?.input ?? null),
      column(({ end }) => end?.tokens?.output ?? null),
      column(({ end }) => end?.tokens?.estimated ?? false),
      column(({ end }) => end?.firstByteMs ?? null),
      column(({ end }) => end?.durationMs ?? null),
      column(({ end }) => end?.endedAt ?? null),
      column(({ end }) => end?.credits ?? 0),
    ],
  })
}

// A row that was swept as lost is put right by its process, should that be back: it has no status of HTTP. Its end is
// counted under a new number then, and the old one is kept so that what was counted is taken back.
const statement = `
  insert into requests as r (id, account_id, request_id, key_id, key_name, surface, model, stream, started_at, status,
    http_status, error_id, failure, served_model, host, tries, input_tokens, output_tokens, estimated, first_byte_ms,
    duration_ms, ended_at, credits, seq)
  select i.*, case when i.ended_at is not null then next_usage_seq() end from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::boolean[],
    $9::timestamptz[], $10::text[], $11::integer[], $12::text[], $13::text[], $14::text[], $15::text[], $16::json[],
    $17::integer[], $18::integer[], $19::boolean[], $20::integer[], $21::integer[], $22::timestamptz[], $23::bigint[])
    as i(id, account_id, request_id, key_id, key_name, surface, model, stream, started_at, status, http_status, error_id,
      failure, served_model, host, tries, input_tokens, output_tokens, estimated, first_byte_ms, duration_ms, ended_at, credits)
  on conflict (id) do update set (status, http_status, error_id, failure, served_model, host, tries, input_tokens,
      output_tokens, estimated, first_byte_ms, duration_ms, ended_at, credits, seq, lost_seq) =
    (excluded.status, excluded.http_status, excluded.error_id, excluded.failure, excluded.served_model, excluded.host,
      excluded.tries, excluded.input_tokens, excluded.output_tokens, excluded.estimated, excluded.first_byte_ms,
      excluded.duration_ms, greatest(excluded.ended_at, r.started_at), excluded.credits,
      case when r.seq is null or r.http_status is null then excluded.seq else r.seq end,
      case when r.http_status is null then r.seq else r.lost_seq end)
    where excluded.ended_at is not null`
