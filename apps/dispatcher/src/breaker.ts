/**
 * Gives targets that do not answer a rest: after a few silences in a row a target gets nothing for a while, then a
 * single delivery, and everything again once it answers. Any answer counts, an error too. A target is one account's use
 * of a host: many may share it, and one account's hanging path must not close it for the others.
 */
export function createBreaker(now: () => number = Date.now): Breaker {
  const silent = new Map<string, Silence>()

  return {
    report(target, answered) {
      if (answered) {
        silent.delete(target)
        return
      }
      const known = silent.get(target)
      // What was under way when the breaker opened says nothing new.
      if (known && known.restUntil > now()) return
      const count = (known?.count ?? 0) + 1
      silent.set(target, { count, restUntil: now() + restAfter(count) })
    },

    targets() {
      const open: string[] = []
      const halfOpen: string[] = []
      const time = now()
      for (const [target, { count, restUntil }] of silent) {
        if (restUntil + forgetAfterMs < time) silent.delete(target)
        else if (count < silencesToOpen) continue
        else if (restUntil > time) open.push(target)
        else halfOpen.push(target)
      }
      return { open, halfOpen }
    },
  }
}

/** Silences in a row that open the breaker; more than a target's share of slots, so a single burst does not. */
const silencesToOpen = 10
const firstRestMs = 5_000
const longestRestMs = 60_000
const forgetAfterMs = 600_000

function restAfter(count: number): number {
  if (count < silencesToOpen) return 0
  return Math.min(longestRestMs, firstRestMs * 2 ** (count - silencesToOpen))
}

export interface Breaker {
  report(target: string, answered: boolean): void
  targets(): { open: string[]; halfOpen: string[] }
}

interface Silence {
  count: number
  restUntil: number
}
