const second = 1
const minute = 60 * second
const hour = 60 * minute

/** How long a delivery waits before each of its attempts, in seconds. After the last one it is exhausted. */
export const schedule: readonly number[] = [
  0,
  5 * second,
  5 * minute,
  30 * minute,
  2 * hour,
  5 * hour,
  10 * hour,
  14 * hour,
  20 * hour,
  24 * hour,
]

/** Each wait is drawn from ±20 %, so that what failed together does not come back together. */
export const jitter = 0.2

/**
 * Seconds until the next attempt when `attempt` of them were made, or undefined when that was the last.
 *
 * Retry-After delays the next attempt, to at most twice its step. It never brings one forward: a receiver that always
 * says "in one second" would otherwise use up three days of attempts in ten seconds.
 */
export function nextAttempt(attempt: number, { retryAfterSeconds = 0, random = Math.random }: Options = {}) {
  const step = schedule[attempt]
  if (step === undefined) return undefined
  const drawn = step * (1 - jitter + 2 * jitter * random())
  return Math.max(drawn, Math.min(retryAfterSeconds, 2 * step))
}

type Options = { retryAfterSeconds?: number | undefined; random?: () => number }
