import type { Database } from '@millrace/database/connect'

/** The process of these calls is still at them: what is held for them stays so. */
export async function sayCallsAlive({ pool }: Database, ids: string[]): Promise<void> {
  await pool.query({
    name: 'calls-alive',
    text: `with known as materialized (
             select id from call_holds where id = any($1::uuid[]) order by id for no key update
           )
           update call_holds h set alive_at = clock_timestamp() from known k where h.id = k.id`,
    values: [ids],
  })
}
