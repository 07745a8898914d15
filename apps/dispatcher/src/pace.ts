/**
 * How many deliveries each target answered lately: so many more may be claimed before there is a slot for them, since
 * they will have one within about as long. A target that stays silent once has to earn that anew.
 */
export function createPace(now: () => number = Date.now): Pace {
  const counts = new Map<string, Count>()

  return {
    report(target, answered) {
      if (!answered) {
        counts.delete(target)
        return
      }
      const time = now()
      const known = counts.get(target)
      if (known && time - known.since < spanMs) known.answered++
      else
        counts.set(target, {
          since: time,
          answered: 1,
          before: known && isLast(known, time) ? known.answered : 0,
        })
    },

    ahead() {
      const time = now()
      const targets = new Map<string, number>()
      for (const [target, count] of counts) {
        if (time - count.since >= 2 * spanMs) counts.delete(target)
        else targets.set(target, Math.min(most, Math.max(count.answered, count.before)))
      }
      return targets
    },
  }
}

/** Whether the span that is over now is the one right before this. */
const isLast = ({ since }: Count, time: number): boolean => time - since < 2 * spanMs

const spanMs = 100
const most = 64

export interface Pace {
  report(target: string, answered: boolean): void
  /** How many may be claimed ahead, by target; no more than 64 of each. */
  ahead(): ReadonlyMap<string, number>
}

interface Count {
  since: number
  answered: number
  /** In the span before. */
  before: number
}
