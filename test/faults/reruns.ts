import { fromTypeId } from '@millrace/database/ids'
import type { World } from './world.ts'

/** How many of these predictions were run more than once. */
export async function countReruns({ db }: World, ids: readonly string[]): Promise<number> {
  const { rows } = await db.pool.query<{ reruns: number }>(
    'select count(*)::integer as reruns from predictions where attempt > 1 and id = any($1::uuid[])',
    [ids.map((id) => fromTypeId('pred', id))],
  )
  return rows[0]?.reruns ?? 0
}
