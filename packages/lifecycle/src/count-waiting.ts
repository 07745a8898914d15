import type { Database } from '@millrace/database/connect'

/**
 * How many predictions of an account, or of one of its keys, wait for their first attempt; counted no further than `most`,
 * and those of a key among the first ten thousand that its account waits with.
 */
export async function countWaiting(
  { pool }: Database,
  { accountId, keyId, most }: { accountId: string; keyId?: string | undefined; most: number },
): Promise<number> {
  const { rows } = await pool.query<{ waiting: number }>({
    name: keyId === undefined ? 'count-waiting' : 'count-waiting-of-key',
    text: keyId === undefined ? ofAccount : ofKey,
    values: keyId === undefined ? [accountId, most] : [accountId, most, keyId],
  })
  return rows[0]?.waiting ?? 0
}

const ofAccount = `
  select count(*)::integer as waiting from (
    select from runs where account_id = $1 and attempt = 0 limit $2
  ) waiting`

const ofKey = `
  select count(*)::integer as waiting from (
    select from (select key_id from runs where account_id = $1 and attempt = 0 limit 10000) looked
    where key_id = $3 limit $2
  ) waiting`
