import { setTimeout as delay } from 'node:timers/promises'

/** Waits before a host is asked again that has just failed: what it asked for, else longer each time, never in step. */
export async function pauseBefore(retry: number, { askedMs, signal }: Pause): Promise<void> {
  const usual = Math.min(firstMs * 2 ** (retry - 1), mostMs) * (0.5 + Math.random() / 2)
  await delay(Math.max(askedMs ?? 0, usual), undefined, { signal }).catch((error: unknown) => {
    signal.throwIfAborted()
    throw error
  })
}

/** A host that asks for more is not asked again by this request. */
export const patienceMs = 3_000

const firstMs = 100
const mostMs = 2_000

interface Pause {
  /** What the host asked for. */
  askedMs: number | undefined
  signal: AbortSignal
}
