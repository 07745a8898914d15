import { findFreed } from '@millrace/lifecycle/waiting'
import type { Worker } from './worker.ts'

/**
 * Sees to what an account waits with, of whatever model and for whichever worker, once a run of it has ended that counted
 * for a limit. What has waited longest is rung for first, and this worker leaves it its turn for a moment; then the rest
 * is, should nobody have had a slot. So a model of which much waits does not keep the others of its account away. What is
 * served here is woken here as well. A sweep makes up for what is lost.
 */
export function ringFreed({ lifecycle: { db }, queue, log }: Ringing, wake: (model: string) => void): Freed {
  /** By account, the model whose turn it is. */
  const next = new Map<string, string>()
  const gathering = new Set<string>()
  let asking: Promise<void> | undefined

  /** Accounts that come up while the database is asked are asked for together. */
  async function askAll(): Promise<void> {
    while (gathering.size > 0) {
      const accounts = [...gathering]
      gathering.clear()
      for (const [account, lines] of await find(accounts)) {
        const [first, ...others] = lines
        if (!first) continue
        tell(first)
        if (others.length > 0) leaveTo(account, first.model)
      }
    }
  }

  async function find(accounts: string[]) {
    return Map.groupBy(await findFreed(db, accounts), ({ account }) => account)
  }

  function tell({ pool, model }: { pool: string; model: string }): void {
    queue.ring(pool, model)
    wake(model)
  }

  function leaveTo(account: string, model: string): void {
    if (next.has(account)) return
    next.set(account, model)
    const tellRest = async () => {
      next.delete(account)
      for (const line of [...(await find([account])).values()].flat()) tell(line)
    }
    setTimeout(() => void tellRest().catch(complain), graceMs).unref()
  }

  function complain(err: unknown): void {
    log.warn({ err }, 'it cannot be told what has waited for a limit; a sweep will')
  }

  return {
    ended(account) {
      gathering.add(account)
      asking ??= askAll()
        .catch(complain)
        .finally(() => {
          asking = undefined
        })
      return asking
    },
    leftFrom: (model) => [...next].flatMap(([account, turn]) => (turn === model ? [] : [account])),
  }
}

/** A bell is answered within milliseconds. */
const graceMs = 200

type Ringing = Pick<Worker, 'lifecycle' | 'queue' | 'log'>

export interface Freed {
  /** A limited run of this account is over. Resolves when it is known what comes next. Never rejects. */
  ended(account: string): Promise<void>
  /** The accounts of which it is not the turn of this model now. */
  leftFrom(model: string): string[]
}
