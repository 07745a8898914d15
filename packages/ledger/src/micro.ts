import Big from 'big.js'

/**
 * Money is counted in whole millionths of a credit ("micros"), so that sums are exact: a number that is no integer is
 * never added to a balance. Credits are what people see.
 */
export const microsPerCredit = 1_000_000

/** Decimals that divide to 40 places: every other operation on them is exact. */
export const Decimal = Big()
Decimal.DP = 40
Decimal.NE = -40
Decimal.PE = 40

/** Micros as credits, for showing. */
export function asCredits(micros: number): number {
  return micros / microsPerCredit
}

/** Credits as micros, rounded half up. */
export function asMicros(credits: number): number {
  return roundMicros(new Decimal(String(credits)).times(microsPerCredit))
}

/** The one rounding of a charge: half up, to a whole micro. What is below nothing is nothing. */
export function roundMicros(value: Big): number {
  if (value.lt(0)) return -roundMicros(value.times(-1))
  return value.gt(Number.MAX_SAFE_INTEGER)
    ? Number.MAX_SAFE_INTEGER
    : value.round(0, Big.roundHalfUp).toNumber()
}
