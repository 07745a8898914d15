import type { Presence } from '@millrace/lifecycle/presence'

/**
 * Tells from the turns of all sweeps whether the database was away, by its own clock, on which leases are kept: it was
 * when it could not be asked, and when longer than a third of a lease beyond the usual pause lies between two answers,
 * be it that it was silent, that it or everything stood still, or that its clock was set. A lease is renewed every third
 * of it, so that a shorter break costs nobody one. Of the time before the first answer nothing is known: away, too.
 */
export function watchPresence({ leaseSeconds, everySeconds }: WatchOptions): PresenceWatch {
  const longestGap = leaseSeconds / 3 + everySeconds
  let last: Presence | undefined
  let failed = false

  function next(asked: number): Presence {
    if (!last) return { asked, since: asked, missed: 0 }
    const gap = asked - last.asked
    // The clock may have been set back.
    const since = Math.min(asked, last.since)
    if (!failed && gap <= longestGap) return { asked, since, missed: last.missed }
    // One that comes and goes has been away for all of it.
    const before = asked - since < leaseSeconds ? last.missed : 0
    return { asked, since: asked, missed: before + Math.max(0, gap) }
  }

  return {
    heard(asked, waitedSeconds) {
      // What it said long ago tells nothing of now.
      const late = waitedSeconds > longestGap
      const now = late ? { asked, since: asked, missed: 0 } : next(asked)
      if (!late) last = now
      failed = late
      return now
    },
    failed() {
      failed = true
    },
  }
}

interface WatchOptions {
  leaseSeconds: number
  /** The pause between two turns. */
  everySeconds: number
}

export interface PresenceWatch {
  /** The database told its time, in seconds since 1970, and one had to wait so long for it. */
  heard(asked: number, waitedSeconds: number): Presence
  /** It could not be asked. */
  failed(): void
}
