import { createBreaker } from './breaker.ts'
import { type ClaimedDelivery, pairOf, slotsPerHost } from './claim-due.ts'
import { createPace } from './pace.ts'

/**
 * What this process has claimed: what is being sent, what waits here for its turn, and which targets do not answer. It
 * tells a claim what to leave alone.
 *
 * Of a target that answers fast some deliveries are claimed ahead and wait here for a slot; else each slot that comes
 * free would cost a claim.
 */
export function createLoad({ slots, slotsPerAccount, now = Date.now }: LoadOptions): Load {
  const sending = new Map<ClaimedDelivery, number>()
  const waiting = new Map<ClaimedDelivery, Waiting>()
  const breaker = createBreaker(now)
  const pace = createPace(now)

  function sendingOf(): { pairs: Map<string, number>; accounts: Map<string, number> } {
    const late = now() - patienceMs
    const lent = Math.min(slotsPerHost, slotsPerAccount)
    return { pairs: countBy(sending.keys(), keyOf), accounts: countAccounts(sending, late, lent) }
  }

  /** In the order in which they came, past those whose host or account has no slot left. */
  function letGo(): void {
    if (waiting.size === 0 || sending.size >= slots) return
    const { pairs, accounts } = sendingOf()
    for (const [delivery, { go, after }] of waiting) {
      if (after && (sending.has(after) || waiting.has(after))) continue
      const key = keyOf(delivery)
      const { account_id: account } = delivery
      if ((pairs.get(key) ?? 0) >= slotsPerHost || (accounts.get(account) ?? 0) >= slotsPerAccount) continue
      increase(pairs, key, 1)
      increase(accounts, account, 1)
      waiting.delete(delivery)
      sending.set(delivery, now())
      go(true)
      if (sending.size >= slots) return
    }
  }

  /** What was to follow it is not to be sent now. */
  function letNoneFollow(leader: ClaimedDelivery): void {
    for (const [delivery, { go, after }] of waiting) if (after === leader) turnAway(delivery, go)
  }

  function turnAway(delivery: ClaimedDelivery, go: Waiting['go']): void {
    waiting.delete(delivery)
    go(false)
    letNoneFollow(delivery)
  }

  return {
    free: () => slots + Math.min(mostAhead, sumOf(pace.ahead())) - sending.size - waiting.size,

    turn: (delivery, after) =>
      new Promise((go) => {
        waiting.set(delivery, { since: now(), go, after })
        letGo()
      }),

    leave(delivery, answered, mayFollow = false) {
      if (!waiting.delete(delivery) && !sending.delete(delivery)) return
      if (answered !== undefined) {
        breaker.report(keyOf(delivery), answered)
        pace.report(keyOf(delivery), answered)
      }
      if (!mayFollow) letNoneFollow(delivery)
      letGo()
    },

    sendAway(afterMs) {
      for (const [delivery, { since, go }] of waiting) {
        if (now() - since >= afterMs) turnAway(delivery, go)
      }
    },

    saturation() {
      const { pairs, accounts } = sendingOf()
      for (const delivery of waiting.keys()) {
        increase(pairs, keyOf(delivery), 1)
        increase(accounts, delivery.account_id, 1)
      }
      const { open, halfOpen } = breaker.targets()
      const probing = halfOpen.filter((key) => (pairs.get(key) ?? 0) > 0)
      for (const [key, count] of pace.ahead()) {
        increase(pairs, key, -count)
        increase(accounts, partsOf(key).account, -count)
      }
      return {
        inFlight: [...pairs].map(([key, count]) => ({ ...partsOf(key), count })),
        accounts: [...accounts].map(([account, count]) => ({ account, count })),
        fullAccounts: keysFrom(accounts, slotsPerAccount),
        closedPairs: [...keysFrom(pairs, slotsPerHost), ...open, ...probing],
        probingPairs: halfOpen,
      }
    },
  }
}

/** Whoever has not answered for so long may well hang. */
const patienceMs = 500

/** Of all targets together so many may be claimed ahead. */
const mostAhead = 256

/**
 * What counts in each account's share: all that it has being sent, but for up to `lent` that have waited for an answer
 * since before `late`. One host that hangs would else take half of the share from the hosts that answer, until its
 * time-outs end.
 */
function countAccounts(
  sending: Map<ClaimedDelivery, number>,
  late: number,
  lent: number,
): Map<string, number> {
  const counts = new Map<string, number>()
  const hanging = new Map<string, number>()
  for (const [{ account_id }, begun] of sending) increase(begun < late ? hanging : counts, account_id, 1)
  for (const [account, count] of hanging) increase(counts, account, Math.max(0, count - lent))
  return counts
}

function countBy<T>(items: Iterable<T>, nameOf: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const item of items) increase(counts, nameOf(item), 1)
  return counts
}

function increase(counts: Map<string, number>, name: string, by: number): void {
  counts.set(name, (counts.get(name) ?? 0) + by)
}

const keysFrom = (counts: Map<string, number>, least: number): string[] =>
  [...counts].flatMap(([name, count]) => (count >= least ? [name] : []))

const sumOf = (counts: ReadonlyMap<string, number>): number =>
  [...counts.values()].reduce((sum, count) => sum + count, 0)

const keyOf = ({ account_id, host }: ClaimedDelivery): string => pairOf(account_id, host)

function partsOf(pair: string): { account: string; host: string } {
  const [account = '', host = ''] = pair.split(' ')
  return { account, host }
}

export interface Load {
  /** How many more may be claimed. */
  free(): number
  /**
   * Waits until a claimed delivery may be sent: there is a slot, and `after` is over. False: it is to be given back, since
   * it waited for too long, or what it was to follow did not arrive.
   */
  turn(delivery: ClaimedDelivery, after?: ClaimedDelivery): Promise<boolean>
  /**
   * It is over. `answered` tells whether the host gave any answer; undefined when it was not asked. What waits for it goes
   * where it `mayFollow`, and is given back else.
   */
  leave(delivery: ClaimedDelivery, answered: boolean | undefined, mayFollow?: boolean): void
  /** Ends the wait of those that have waited for so long: their target no longer answers as fast as it did. */
  sendAway(afterMs: number): void
  saturation(): Saturation
}

export interface Saturation {
  /** What is claimed, less what may be claimed ahead. */
  inFlight: PairLoad[]
  /** What counts in their shares, less what may be claimed ahead. */
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

interface Waiting {
  since: number
  after: ClaimedDelivery | undefined
  go(mayBeSent: boolean): void
}

interface LoadOptions {
  slots: number
  slotsPerAccount: number
  now?: () => number
}
