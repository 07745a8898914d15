import { createBreaker } from './breaker.ts'
import { type ClaimedDelivery, pairOf, slotsPerHost } from './claim-due.ts'

/** What this process has in flight, by account and host, and which of them do not answer: what a claim must leave alone. */
export function createLoad({ slots, slotsPerAccount, now = Date.now }: LoadOptions): Load {
  const pairs = new Map<string, PairLoad>()
  const since = new Map<ClaimedDelivery, number>()
  const breaker = createBreaker(now)

  return {
    free: () => slots - since.size,

    add(delivery) {
      since.set(delivery, now())
      const { account_id, host } = delivery
      const key = pairOf(account_id, host)
      pairs.set(key, { account: account_id, host, count: (pairs.get(key)?.count ?? 0) + 1 })
    },

    remove(delivery, answered) {
      since.delete(delivery)
      const { account_id, host } = delivery
      const key = pairOf(account_id, host)
      const count = (pairs.get(key)?.count ?? 1) - 1
      if (count > 0) pairs.set(key, { account: account_id, host, count })
      else pairs.delete(key)
      if (answered !== undefined) breaker.report(key, answered)
    },

    saturation() {
      const inFlight = [...pairs.values()]
      const late = now() - patienceMs
      const accounts = countAccounts(since, late, Math.min(slotsPerHost, slotsPerAccount))
      const { open, halfOpen } = breaker.targets()
      const full = [...pairs].flatMap(([key, { count }]) => (count >= slotsPerHost ? [key] : []))
      return {
        inFlight,
        accounts,
        fullAccounts: accounts.flatMap(({ account, count }) => (count >= slotsPerAccount ? [account] : [])),
        closedPairs: [...full, ...open, ...halfOpen.filter((key) => pairs.has(key))],
        probingPairs: halfOpen,
      }
    },
  }
}

/** Whoever has not answered for so long may well hang. */
const patienceMs = 500

/**
 * What counts in each account's share: all it has in flight, but for up to `lent` that have waited since before `late`.
 * One host that hangs would else take half of the share from the hosts that answer, until its time-outs end.
 */
function countAccounts(since: Map<ClaimedDelivery, number>, late: number, lent: number): AccountLoad[] {
  const loads = new Map<string, { prompt: number; waiting: number }>()
  for (const [{ account_id }, begun] of since) {
    const load = loads.get(account_id) ?? { prompt: 0, waiting: 0 }
    if (begun < late) load.waiting++
    else load.prompt++
    loads.set(account_id, load)
  }
  return [...loads].map(([account, { prompt, waiting }]) => ({
    account,
    count: prompt + Math.max(0, waiting - lent),
  }))
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
  /** What counts in their shares. */
  accounts: AccountLoad[]
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

interface AccountLoad {
  account: string
  count: number
}

interface LoadOptions {
  slots: number
  slotsPerAccount: number
  now?: () => number
}
