import type { Database } from '@millrace/database/connect'
import type { Presence } from '@millrace/lifecycle/presence'

/** What a sweep knows of a database that has been back for so many seconds. */
export async function backFor({ pool }: Database, seconds: number): Promise<Presence> {
  const { rows } = await pool.query<{ now: number }>(
    'select extract(epoch from clock_timestamp())::float8 as now',
  )
  const asked = rows[0]?.now ?? 0
  return { asked, since: asked - seconds, missed: 0 }
}
