/**
 * Gives hosts that do not answer a rest: after a few silences in a row a host gets nothing for a while, then a single
 * delivery, and everything again once it answers. Any answer counts, an error too: a host may serve many accounts, and
 * one account's broken path must not close it for the others.
 */
export function createBreaker(now: () => number = Date.now): Breaker {
  const silent = new Map<string, Silence>()

  return {
    report(host, answered) {
      if (answered) {
        silent.delete(host)
        return
      }
      const known = silent.get(host)
      // What was under way when the breaker opened says nothing new.
      if (known && known.restUntil > now()) return
      const count = (known?.count ?? 0) + 1
      silent.set(host, { count, restUntil: now() + restAfter(count) })
    },

    hosts() {
      const open: string[] = []
      const halfOpen: string[] = []
      const time = now()
      for (const [host, { count, restUntil }] of silent) {
        if (restUntil + forgetAfterMs < time) silent.delete(host)
        else if (count < silencesToOpen) continue
        else if (restUntil > time) open.push(host)
        else halfOpen.push(host)
      }
      return { open, halfOpen }
    },
  }
}

/** Silences in a row that open the breaker; more than one target's share of slots, so a single burst does not. */
const silencesToOpen = 10
const firstRestMs = 5_000
const longestRestMs = 60_000
const forgetAfterMs = 600_000

function restAfter(count: number): number {
  if (count < silencesToOpen) return 0
  return Math.min(longestRestMs, firstRestMs * 2 ** (count - silencesToOpen))
}

export interface Breaker {
  report(host: string, answered: boolean): void
  hosts(): { open: string[]; halfOpen: string[] }
}

interface Silence {
  count: number
  restUntil: number
}
