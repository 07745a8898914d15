import type { BudgetThreshold } from '@millrace/contract/budget'
import { asMicros } from '@millrace/ledger/micro'

/**
 * Those of the thresholds that are reached when what was spent rises from `before` to `after`, lowest first. What was
 * spent never falls within a period, so each is reached once in it. All in micros.
 */
export function reachedThresholds({ thresholds, hardCap, before, after }: Rise): Reached[] {
  return thresholds
    .flatMap((threshold) => {
      const micros = microsOf(threshold, hardCap)
      return micros !== undefined && before < micros && micros <= after ? [{ threshold, micros }] : []
    })
    .sort((a, b) => a.micros - b.micros)
}

/** Undefined for a percentage of no cap. A percentage is rounded up, since it is reached by no less. */
function microsOf({ percent, credits }: BudgetThreshold, hardCap: number | null): number | undefined {
  if (credits !== undefined) return asMicros(credits)
  if (percent === undefined || hardCap === null) return undefined
  return Number((BigInt(hardCap) * BigInt(percent) + 99n) / 100n)
}

interface Rise {
  thresholds: readonly BudgetThreshold[]
  hardCap: number | null
  before: number
  after: number
}

/** A threshold, and the micros at which it lies. */
export interface Reached {
  threshold: BudgetThreshold
  micros: number
}
