import type { Database } from '@millrace/database/connect'

/**
 * Says of these keys that they were used now, but of none twice in a minute, whichever process asks. One that is being
 * changed is left out: its next minute comes.
 */
export async function noteUses({ pool }: Database, ids: readonly string[]): Promise<void> {
  await pool.query({
    name: 'note-key-uses',
    text: `update api_keys set last_used_at = clock_timestamp()
           where id = any(array(
             select id from api_keys
             where id = any($1::uuid[]) and (last_used_at is null or last_used_at <= clock_timestamp() - interval '1 minute')
             order by id for no key update skip locked))`,
    values: [ids],
  })
}
