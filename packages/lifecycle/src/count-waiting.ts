import type { Database } from '@millrace/database/connect'

/** How many predictions of an account, or of one of its keys, wait for their first attempt; counted no further than `most`. */
export async function countWaiting(
  { pool }: Database,
  { accountId, keyId, most }: { accountId: string; keyId?: string | undefined; most: number },
): Promise<number> {
  const { rows } = await pool.query<{ waiting: number }>({
    name: keyId === undefined ? 'count-waiting' : 'count-waiting-of-key',
    text: `select count(*)::integer as waiting from (
             select from runs where account_id = $1 and attempt = 0${keyId === undefined ? '' : ' and key_id = $3'} limit $2
           ) waiting`,
    values: keyId === undefined ? [accountId, most] : [accountId, most, keyId],
  })
  return rows[0]?.waiting ?? 0
}
