import type { Context } from './context.ts'

/** Whether this process can serve: the database answers and it is not draining. */
export async function isReady({ db, draining }: Context): Promise<boolean> {
  if (draining.signal.aborted) return false
  return db.pool.query('select 1').then(
    () => true,
    () => false,
  )
}
