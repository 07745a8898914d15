import type { RateCount, RateEntry, RateReading, RateStore, RateWindow } from './rate-window.ts'

/** Windows of this process alone, for as long as the store that all share cannot be asked. `now` is in milliseconds. */
export function processWindows(now = () => performance.now()): RateStore {
  const windows = new Map<string, Slices>()
  let sweptAt = now()

  function currentOf({ name, sliceMs, slices }: RateWindow, moment: number): Slices {
    const known = windows.get(name) ?? { counts: new Map(), until: 0 }
    const first = Math.floor(moment / sliceMs) - slices
    for (const slice of known.counts.keys()) if (slice < first) known.counts.delete(slice)
    return known
  }

  function sweep(moment: number): void {
    if (moment - sweptAt < sweepMs && windows.size < mostWindows) return
    sweptAt = moment
    for (const [name, { until }] of windows) if (until < moment) windows.delete(name)
    // Nobody has so many at once but in an attack.
    if (windows.size >= mostWindows) windows.clear()
  }

  return {
    async count(entries): Promise<RateCount> {
      const moment = now()
      sweep(moment)
      const found = entries.map((entry) => ({ entry, slices: currentOf(entry.window, moment) }))
      const counted = found.every(({ entry, slices }) => fits(entry, slices))
      for (const { entry, slices } of counted ? found : []) {
        const { window, cost, slice = Math.floor(moment / window.sliceMs) } = entry
        const current = Math.floor(moment / window.sliceMs)
        if (cost === 0 || slice < current - window.slices) continue
        const held = (slices.counts.get(slice) ?? 0) + cost
        if (held === 0) slices.counts.delete(slice)
        else slices.counts.set(slice, held)
        slices.until = moment + window.sliceMs * (window.slices + 2)
        windows.set(window.name, slices)
      }
      return { counted, readings: found.map(({ entry, slices }) => readingOf(entry, slices, moment)) }
    },
    async opened() {},
    async close() {},
  }
}

function fits({ cost, limit }: RateEntry, slices: Slices): boolean {
  return limit === undefined || totalOf(slices) + cost <= limit
}

function totalOf({ counts }: Slices): number {
  let total = 0
  for (const count of counts.values()) total += count
  return total
}

function readingOf({ window, cost, limit }: RateEntry, slices: Slices, moment: number): RateReading {
  const { sliceMs } = window
  const filled = [...slices.counts.entries()].sort(([a], [b]) => a - b)
  const used = totalOf(slices)
  const current = Math.floor(moment / sliceMs)
  const leaves = (slice: number) => (slice + window.slices + 1) * sliceMs - moment
  let left = used
  let fitsMs = 0
  if (limit !== undefined && used + cost > limit) {
    const last = filled.find(([, count]) => {
      left -= count
      return left + cost <= limit
    })
    fitsMs = leaves(last?.[0] ?? current)
  }
  const [oldest] = filled
  return { used, leavesMs: oldest ? leaves(oldest[0]) : 0, fitsMs, slice: current }
}

const sweepMs = 60_000
const mostWindows = 100_000

interface Slices {
  counts: Map<number, number>
  /** Nothing in it counts after that. */
  until: number
}
