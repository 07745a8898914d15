import type { Caller } from '@millrace/accounts/api-keys'
import type { Database } from '@millrace/database/connect'
import { countWaiting } from '@millrace/lifecycle/count-waiting'
import { ApiError } from './api-error.ts'

/**
 * Bounds how many predictions of an account, or of a key, wait to begin. They are counted when somebody asks, no further
 * than to their limit, and the count is kept for a moment, with what this process has accepted since: so processes that
 * accept at once may go a little beyond it. One that takes long to count is kept for fifty times as long, for two seconds
 * at most. Nobody is refused by a count that is not of this very moment.
 */
export function watchWaiting(db: Database): Waiting {
  const kept = new Map<string, Kept>()
  const counting = new Map<string, Promise<Kept>>()

  async function current(owner: Owner): Promise<Kept> {
    const name = nameOf(owner)
    const known = kept.get(name)
    const now = performance.now()
    const isFull = known && known.waiting >= owner.most
    if (known && now < known.until && (!isFull || now - known.countedAt < freshMs)) return known
    // Whoever asks meanwhile waits for the same answer.
    const under = counting.get(name) ?? count(name, owner).finally(() => counting.delete(name))
    counting.set(name, under)
    return under
  }

  async function count(name: string, owner: Owner): Promise<Kept> {
    const begun = performance.now()
    const waiting = await countWaiting(db, owner)
    const now = performance.now()
    const keep = Math.min(longestMs, Math.max(keptMs, 50 * (now - begun)))
    const counted = { waiting, countedAt: now, until: now + keep }
    if (kept.size >= mostKept) kept.clear()
    kept.set(name, counted)
    return counted
  }

  return {
    async enter(caller) {
      const entered: Kept[] = []
      const leave = () => {
        for (const one of entered.splice(0)) one.waiting--
      }
      for (const owner of ownersOf(caller)) {
        const known = await current(owner)
        if (known.waiting >= owner.most) {
          leave()
          throw full(owner)
        }
        known.waiting++
        entered.push(known)
      }
      return leave
    },
  }
}

function ownersOf({ accountId, keyId, plan, limits }: WaitingCaller): Owner[] {
  const account = plan.limits?.max_waiting
  const key = limits?.max_waiting
  return [
    ...(account === undefined ? [] : [{ accountId, most: account }]),
    ...(key === undefined || keyId === undefined ? [] : [{ accountId, keyId, most: key }]),
  ]
}

function nameOf({ accountId, keyId, most }: Owner): string {
  return `${keyId ?? accountId} ${most}`
}

function full({ keyId, most }: Owner): ApiError {
  const whose = keyId === undefined ? 'this account' : 'this key'
  const message = `${most} predictions of ${whose} wait to begin, which is as many as may.`
  return new ApiError('QUEUE_FULL', message, { headers: { 'retry-after': String(againSeconds) } })
}

/** When some may have begun; nobody knows. */
const againSeconds = 2

const keptMs = 250
const longestMs = 2_000
/** So old may a count be that somebody is refused by. */
const freshMs = 20
const mostKept = 10_000

export interface Waiting {
  /**
   * Counts one that is about to be accepted; what this answers takes it back. Throws QUEUE_FULL where as many wait as may.
   * Asks nothing where that is not limited.
   */
  enter(caller: WaitingCaller): Promise<() => void>
}

type WaitingCaller = Pick<Caller, 'accountId' | 'plan'> & Partial<Pick<Caller, 'keyId' | 'limits'>>

interface Owner {
  accountId: string
  keyId?: string
  most: number
}

interface Kept {
  waiting: number
  countedAt: number
  until: number
}
