import { setTimeout as delay } from 'node:timers/promises'

/**
 * Waits until `condition` gives something truthy and returns that. A condition that throws has not come true yet; its
 * last error is told when time is up.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { within = 10_000, what }: Patience,
): Promise<Truthy<T>> {
  const deadline = performance.now() + within
  let lastError: unknown
  for (;;) {
    try {
      const found = await condition()
      if (found) return found as Truthy<T>
      lastError = undefined
    } catch (error) {
      lastError = error
    }
    if (performance.now() > deadline)
      throw new Error(`Waited ${within} ms in vain for ${what}`, { cause: lastError })
    await delay(10)
  }
}

type Truthy<T> = Exclude<T, false | undefined | null | 0 | ''>

interface Patience {
  /** Milliseconds. */
  within?: number
  what: string
}
