import { findFreed } from '@millrace/lifecycle/waiting'
import type { Worker } from './worker.ts'

/**
 * Rings for what an account waits with, of whatever model and for whichever worker, once a run of it has ended that
 * counted for a limit. Accounts that come up while the database is asked are asked for together. A ring that is lost is
 * made up for by the sweeper.
 */
export function ringFreed({ lifecycle: { db }, queue, log }: Ringing): (accountId: string) => void {
  const freed = new Set<string>()
  let asking = false

  async function ask(): Promise<void> {
    while (freed.size > 0) {
      const accounts = [...freed]
      freed.clear()
      for (const { pool, model } of await findFreed(db, accounts)) queue.ring(pool, model)
    }
  }

  return (accountId) => {
    freed.add(accountId)
    if (asking) return
    asking = true
    void ask()
      .catch((err: unknown) =>
        log.warn({ err }, 'it cannot be told what waits for a limit; a sweep will find it'),
      )
      .finally(() => {
        asking = false
      })
  }
}

type Ringing = Pick<Worker, 'lifecycle' | 'queue' | 'log'>
