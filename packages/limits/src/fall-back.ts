import { counter } from '@millrace/process/metrics'
import { processWindows } from './process-windows.ts'
import type { RateCount, RateEntry, RateStore } from './rate-window.ts'

/**
 * Counts in `shared`, and in windows of this process while that does not answer within `patienceMs`: then it is left
 * alone for a second, and the next ask finds out whether it is back, the others not waiting for it.
 */
export function withFallBack(shared: RateStore, { patienceMs, onChange }: FallBackOptions): FallingBack {
  const own = processWindows()
  let restsUntil = 0
  let away = false

  function change(isAway: boolean, error?: unknown): void {
    away = isAway
    onChange(isAway, error)
  }

  async function countShared(entries: readonly RateEntry[]): Promise<RateCount> {
    const answer = await inTime(shared.count(entries), patienceMs)
    restsUntil = 0
    if (away) change(false)
    return answer
  }

  function failed(error: unknown): void {
    restsUntil = performance.now() + restMs
    if (!away) change(true, error)
  }

  return {
    async count(entries, at) {
      const now = performance.now()
      if (at === 'shared' || (at === undefined && now >= restsUntil)) {
        // While it is away, only one at a time waits for it.
        if (away) restsUntil = now + restMs
        try {
          return { ...(await countShared(entries)), at: 'shared' }
        } catch (error) {
          failed(error)
        }
      }
      if (at === 'shared') return { counted: false, readings: [], at }
      alone.inc()
      return { ...(await own.count(entries)), at: 'process' }
    },
    opened: () => shared.opened(),
    close: () => shared.close(),
  }
}

/**
 * What a promise answers within a time. A process that was busy for so long finds its timer due before it has read what
 * came meanwhile: that is read first.
 */
function inTime<T>(work: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => setImmediate(() => setImmediate(() => reject(tooLate))), ms)
    work.then(
      (answer) => {
        clearTimeout(timer)
        resolve(answer)
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}

const tooLate = new Error('The store of rate limits did not answer in time.')
const restMs = 1_000

const alone = counter(
  'millrace_rates_counted_alone_total',
  'Asks that this process counted by itself, since the store of rate limits did not answer',
)

interface FallBackOptions {
  patienceMs: number
  /** Hears when it goes and when it is back. */
  onChange: (away: boolean, error?: unknown) => void
}

/** Where it was counted, which is where it is corrected. */
export type CountedAt = 'shared' | 'process'

export interface FallingBack {
  /** `at` says where, for what corrects an earlier count; nothing else is counted there instead. */
  count(entries: readonly RateEntry[], at?: CountedAt): Promise<RateCount & { at: CountedAt }>
  opened(): Promise<void>
  close(): Promise<void>
}
