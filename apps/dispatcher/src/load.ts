import { createBreaker } from './breaker.ts'
import { type ClaimedDelivery, pairOf, slotsPerHost } from './claim-due.ts'

/** What this process has in flight, by account and host, and which of them do not answer: what a claim must leave alone. */
export function createLoad({ slots, slotsPerAccount, now = Date.now }: LoadOptions): Load {
  const pairs = new Map<string, PairLoad>()
  const breaker = createBreaker(now)
  let total = 0

  return {
    free: () => slots - total,

    add({ account_id, host }) {
      total++
      const key = pairOf(account_id, host)
      pairs.set(key, { account: account_id, host, count: (pairs.get(key)?.count ?? 0) + 1 })
    },

    remove({ account_id, host }, answered) {
      total--
      const key = pairOf(account_id, host)
      const count = (pairs.get(key)?.count ?? 1) - 1
      if (count > 0) pairs.set(key, { account: account_id, host, count })
      else pairs.delete(key)
      if (answered !== undefined) breaker.report(key, answered)
    },

    saturation() {
      const inFlight = [...pairs.values()]
      const { open, halfOpen } = breaker.targets()
      const full = [...pairs].flatMap(([key, { count }]) => (count >= slotsPerHost ? [key] : []))
      return {
        inFlight,
        fullAccounts: fullAccounts(inFlight, slotsPerAccount),
        closedPairs: [...full, ...open, ...halfOpen.filter((key) => pairs.has(key))],
        probingPairs: halfOpen,
      }
    },
  }
}

function fullAccounts(inFlight: PairLoad[], slotsPerAccount: number): string[] {
  const counts = new Map<string, number>()
  for (const { account, count } of inFlight) counts.set(account, (counts.get(account) ?? 0) + count)
  return [...counts].flatMap(([account, count]) => (count >= slotsPerAccount ? [account] : []))
}

export interface Load {
  free(): number
  add(delivery: ClaimedDelivery): void
  /** `answered` tells the breaker whether the host gave any answer; undefined when it was not asked. */
  remove(delivery: ClaimedDelivery, answered: boolean | undefined): void
  saturation(): Saturation
}

export interface Saturation {
  inFlight: PairLoad[]
  fullAccounts: string[]
  /** Accounts with hosts (`pairOf`) that get nothing now: all their slots are taken, or the host stays silent. */
  closedPairs: string[]
  /** Those that have one delivery in flight at most, to see whether the host answers again. */
  probingPairs: string[]
}

interface PairLoad {
  account: string
  host: string
  count: number
}

interface LoadOptions {
  slots: number
  slotsPerAccount: number
  now?: () => number
}
