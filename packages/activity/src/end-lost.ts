import type { Database } from '@millrace/database/connect'

/**
 * Ends calls whose process went in the middle of them: for a minute it has said nothing. Answers their number. Should
 * the process be back, what it says of them wins.
 */
export async function endLostRequests({ pool }: Database): Promise<number> {
  const { rowCount } = await pool.query({
    name: 'end-lost-requests',
    text: `update requests set status = 'failed', error_id = 'INTERNAL_ERROR', failure = $2, seq = next_usage_seq(),
             ended_at = greatest(started_at, coalesce(alive_at, started_at))
           where status = 'running' and coalesce(alive_at, started_at) < clock_timestamp() - make_interval(secs => $1)`,
    values: [silentSeconds, 'The process that served it went away.'],
  })
  return rowCount ?? 0
}

/** Three times what lies between two words of a process (see ./request-log.ts). */
const silentSeconds = 60
