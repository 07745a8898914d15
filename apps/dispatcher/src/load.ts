import { createBreaker } from './breaker.ts'
import { type ClaimedDelivery, pairOf, slotsPerHost } from './claim-due.ts'

/** What this process has in flight, by account and host, and which hosts do not answer: what a claim must leave alone. */
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
      if (answered !== undefined) breaker.report(host, answered)
    },

    saturation() {
      const inFlight = [...pairs.values()]
      const busyHosts = new Set(inFlight.map(({ host }) => host))
      const { open, halfOpen } = breaker.hosts()
      return {
        inFlight,
        closedHosts: [...open, ...halfOpen.filter((host) => busyHosts.has(host))],
        probingHosts: halfOpen,
        fullAccounts: fullAccounts(inFlight, slotsPerAccount),
        fullPairs: [...pairs].flatMap(([key, { count }]) => (count >= slotsPerHost ? [key] : [])),
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
  /** Hosts that get nothing now. */
  closedHosts: string[]
  /** Hosts that get one delivery, to see whether they answer again. */
  probingHosts: string[]
  fullAccounts: string[]
  fullPairs: string[]
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
