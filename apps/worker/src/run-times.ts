/**
 * Gathers how long runs held their places until somebody writes it down: not more than a few of each model, picked with
 * the same chance, so that a flood of short runs costs no more than a trickle.
 */
export function createRunTimes(): RunTimes {
  const gathered = new Map<string, Gathered>()
  return {
    add(model, seconds) {
      const { count, kept } = gathered.get(model) ?? { count: 0, kept: [] }
      if (kept.length < most) kept.push(seconds)
      else {
        const at = Math.floor(Math.random() * (count + 1))
        if (at < most) kept[at] = seconds
      }
      gathered.set(model, { count: count + 1, kept })
    },
    take() {
      const times = new Map([...gathered].map(([model, { kept }]) => [model, kept]))
      gathered.clear()
      return times
    },
  }
}

const most = 50

interface Gathered {
  count: number
  kept: number[]
}

export interface RunTimes {
  add(model: string, seconds: number): void
  /** All that were gathered since they were last taken. */
  take(): Map<string, number[]>
}
