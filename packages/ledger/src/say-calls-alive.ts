import type { Database } from '@millrace/database/connect'

/** The process of these calls is still at them: what is held for them stays so. */
export async function sayCallsAlive({ pool }: Database, ids: string[]): Promise<void> {
  await pool.query({
    name: 'calls-alive',
    text: 'update call_holds set alive_at = clock_timestamp() where id = any($1::uuid[])',
    values: [ids],
  })
}
