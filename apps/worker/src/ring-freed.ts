import { findFreed } from '@millrace/lifecycle/waiting'
import type { Worker } from './worker.ts'

/**
 * Sees to what an account waits with, of whatever model and for whichever worker, once a run of it has ended that counted
 * for a limit: what has waited longest is rung for first, and a moment later, should nobody have had a slot for that, the
 * rest. So a model of which much waits does not keep the others of its account away. What is served here is woken here as
 * well. Accounts that come up while the database is asked are asked for together; a sweep makes up for what is lost.
 */
export function ringFreed(
  { lifecycle: { db }, queue, log }: Ringing,
  wake: (model: string) => void,
): (accountId: string) => void {
  const oldest = collect((accounts) => ask(accounts, false))
  const rest = collect((accounts) => ask(accounts, true))

  async function ask(accounts: string[], all: boolean): Promise<void> {
    const lines = Map.groupBy(await findFreed(db, accounts), ({ account }) => account)
    for (const [account, [first, ...others]] of lines) {
      for (const line of all ? [first, ...others] : [first]) {
        if (!line) continue
        queue.ring(line.pool, line.model)
        wake(line.model)
      }
      if (!all && others.length > 0) setTimeout(() => rest(account), graceMs).unref()
    }
  }

  /** One question at a time. */
  function collect(about: (accounts: string[]) => Promise<void>): (accountId: string) => void {
    const gathering = new Set<string>()
    let asking = false
    async function askAll(): Promise<void> {
      while (gathering.size > 0) {
        const accounts = [...gathering]
        gathering.clear()
        await about(accounts)
      }
    }
    return (accountId) => {
      gathering.add(accountId)
      if (asking) return
      asking = true
      void askAll()
        .catch((err: unknown) =>
          log.warn({ err }, 'it cannot be told what has waited for a limit; a sweep will'),
        )
        .finally(() => {
          asking = false
        })
    }
  }

  return oldest
}

/** A bell is answered within milliseconds. */
const graceMs = 200

type Ringing = Pick<Worker, 'lifecycle' | 'queue' | 'log'>
