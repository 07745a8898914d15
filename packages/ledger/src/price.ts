import { type Pricing, timeUnits, type Unit } from '@millrace/contract/pricing'
import type Big from 'big.js'
import { FormulaFault, readFormula } from './formula.ts'
import { Decimal, microsPerCredit, roundMicros } from './micro.ts'

/**
 * The price of one request as it is now: what its input decides is decided, and what is multiplied is multiplied, so
 * that it can be kept as JSON and asked again when the request has ended, whatever became of the model's file or the
 * plan. Null where nothing can ever be charged.
 */
export function priceOf(
  pricing: Pricing | undefined,
  input: Readonly<Record<string, unknown>>,
  { multiplier = 1, creditsPerUsd }: Terms,
): Price | null {
  if (pricing === undefined || multiplier === 0) return null
  if (pricing.criterias || pricing.formula !== undefined)
    return makePrice(pricing, input, { multiplier, creditsPerUsd })
  // The same for every input: it is made once.
  const made = madeOf.get(pricing) ?? new Map<string, Price | null>()
  madeOf.set(pricing, made)
  const terms = `${multiplier} ${creditsPerUsd}`
  const known = made.get(terms)
  if (known !== undefined) return known
  const price = makePrice(pricing, input, { multiplier, creditsPerUsd })
  made.set(terms, price)
  return price
}

const madeOf = new WeakMap<Pricing, Map<string, Price | null>>()

function makePrice(
  pricing: Pricing,
  input: Readonly<Record<string, unknown>>,
  { multiplier, creditsPerUsd }: Required<Terms>,
): Price | null {
  const fitting = pricing.criterias?.find(({ field, value }) => input[field] === value)
  const { per, formula, input_amount, output_amount, estimate, charged_when } = pricing
  const factor = new Decimal(String(creditsPerUsd)).times(String(multiplier)).times(microsPerCredit)
  const oneUnit = (amount: number) => new Decimal(String(amount)).div(per)
  const amount = oneUnit(fitting?.billable_price ?? pricing.amount)
  // A price that replaces the amount replaces those of its two halves, too.
  const rateOf = (half: number | undefined) =>
    half === undefined || fitting ? amount.times(factor) : oneUnit(half).times(factor)
  const rates = { rate: amount.times(factor), input: rateOf(input_amount), output: rateOf(output_amount) }
  if (formula === undefined && rates.rate.eq(0) && rates.input.eq(0) && rates.output.eq(0)) return null
  const own = input_amount !== undefined || output_amount !== undefined
  return {
    unit: fitting?.unit ?? pricing.unit,
    rate: rates.rate.toFixed(),
    ...(own ? { input_rate: rates.input.toFixed(), output_rate: rates.output.toFixed() } : {}),
    ...(formula === undefined
      ? {}
      : { formula, values: valuesOf(formula, input, amount), factor: factor.toFixed() }),
    ...(estimate === undefined ? {} : { estimate }),
    ...(charged_when === undefined || charged_when.length === 0 ? {} : { charged_when }),
  }
}

/** Whether anything may cost something at these prices. */
export function isBillable(pricing: Pricing | undefined): boolean {
  const { amount = 0, input_amount = 0, output_amount = 0, criterias = [], formula } = pricing ?? {}
  const prices = [
    amount,
    input_amount,
    output_amount,
    ...criterias.map(({ billable_price }) => billable_price),
  ]
  return formula !== undefined || prices.some((price) => price > 0)
}

/**
 * What this much of it costs, in micros, whatever was held: multiplied first, rounded once. Undefined where the usage
 * does not tell how many units were used. Throws FormulaFault where a formula has no value for it.
 */
export function costOf(price: Price, usage: Usage): number | undefined {
  const whole = wholeCost(price, usage)
  if (whole !== undefined) return whole
  if (price.formula !== undefined) {
    const units = unitsOf(price.unit, usage)
    return units === undefined ? undefined : formulaCost(price, price.formula, units.count.div(units.of))
  }
  const { input_tokens: given, output_tokens: made } = usage
  if (price.unit === 'token' && usage.token === undefined && (given !== undefined || made !== undefined)) {
    const cost = (rate: string | undefined, tokens = 0) =>
      new Decimal(rate ?? price.rate).times(amountOf(tokens))
    return roundMicros(cost(price.input_rate, given).plus(cost(price.output_rate, made)))
  }
  const units = unitsOf(price.unit, usage)
  return units === undefined ? undefined : roundMicros(units.count.times(price.rate).div(units.of))
}

/** Of whole units at a price in whole micros: what takes no decimals, and needs none to be exact. */
function wholeCost({ unit, rate, formula }: Price, usage: Usage): number | undefined {
  const count = toldUnits(unit, usage)
  if (count === undefined || count < 0 || formula !== undefined || !/^\d{1,15}$/.test(rate)) return undefined
  const cost = count * Number(rate)
  return Number.isSafeInteger(count) && Number.isSafeInteger(cost) ? cost : undefined
}

/**
 * What is charged for it, in micros: what was used, and never more than was held. What nobody counted is charged as it
 * was held; what has no price (a formula that divides by zero) is not charged.
 */
export function chargeOf(price: Price, usage: Usage, hold: number): number {
  try {
    return Math.min(costOf(price, usage) ?? hold, hold)
  } catch (error) {
    if (error instanceof FormulaFault) return 0
    throw error
  }
}

/** What is charged for an ending of a prediction, in micros: docs/billing.md is this function as a table. */
export function endingCharge(price: Price, { status, errorId, seconds, usage }: Ended, hold: number): number {
  if (status === 'succeeded') return chargeOf(price, { ...usage, ...secondsOf(seconds) }, hold)
  const reason = status === 'cancelled' ? 'cancelled' : errorId === 'RUN_TIMEOUT' ? 'run_timeout' : undefined
  const isDue = reason !== undefined && price.charged_when?.includes(reason)
  if (!isDue || seconds === null || !timeUnits.has(price.unit)) return 0
  return chargeOf(price, secondsOf(seconds), hold)
}

/**
 * What a success will be charged, in micros, as far as that can be told before it ends: not where it goes by the time of
 * the run.
 */
export function chargeAhead(price: Price, usage: Usage, hold: number): number | undefined {
  return timeUnits.has(price.unit) ? undefined : endingCharge(price, { ...success, usage }, hold)
}

const success = { status: 'succeeded', errorId: null, seconds: null }

const secondsOf = (seconds: number | null): Usage => (seconds === null ? {} : { second: seconds })

/** How many units of a kind a usage tells of: `count`, or a sixtieth of it, which is divided only once it is multiplied. */
function unitsOf(unit: Unit, usage: Usage): { count: Big; of: number } | undefined {
  const told = toldUnits(unit, usage)
  if (told !== undefined) return { count: amountOf(told), of: 1 }
  if (unit === 'token') {
    const { input_tokens: given, output_tokens: made } = usage
    if (given === undefined && made === undefined) return undefined
    return { count: amountOf(given ?? 0).plus(amountOf(made ?? 0)), of: 1 }
  }
  if (!timeUnits.has(unit) || usage.second === undefined) return undefined
  return { count: amountOf(usage.second), of: unit === 'minute' ? 60 : 1 }
}

function toldUnits(unit: Unit, usage: Usage): number | undefined {
  const told = unit === 'prediction' ? undefined : usage[unit]
  return told ?? (single.has(unit) ? 1 : undefined)
}

/** What nobody can use less than nothing of. */
const amountOf = (value: number): Big => new Decimal(Number.isFinite(value) && value > 0 ? String(value) : 0)

/** A request is one of them, unless more are told of. */
const single: ReadonlySet<Unit> = new Set(['prediction', 'request', 'email'])

function formulaCost({ values, factor }: Price, formula: string, units: Big): number {
  const usd = readFormula(formula).evaluate({ ...values, units: units.toFixed() })
  return usd.lt(0) ? 0 : roundMicros(usd.times(factor ?? 0))
}

function valuesOf(
  formula: string,
  input: Readonly<Record<string, unknown>>,
  amount: Big,
): NonNullable<Price['values']> {
  const values: NonNullable<Price['values']> = { amount: amount.toFixed() }
  for (const name of readFormula(formula).names) {
    const value = name.startsWith('input.') ? input[name.slice('input.'.length)] : undefined
    if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value)))
      values[name] = value
  }
  return values
}

/** On whose terms something is priced. */
export interface Terms {
  /** Of the plan; 1 unless told. */
  multiplier?: number | undefined
  creditsPerUsd: number
}

/** A price as it was when a request was accepted; small JSON. Rates are micros for one unit, as exact decimals. */
export interface Price {
  unit: Unit
  rate: string
  /** Of tokens of a prompt and of an answer. */
  input_rate?: string
  output_rate?: string
  formula?: string
  /** What the formula reads of the input, and its amount. */
  values?: Record<string, number | string | boolean>
  /** Micros for a dollar, for a formula. */
  factor?: string
  /** Units to hold where the input does not tell. */
  estimate?: number
  charged_when?: ('run_timeout' | 'cancelled')[]
}

/** How much of each was used, as far as it was counted; `second` is the time of the run. */
export type Usage = Partial<Record<Unit | 'input_tokens' | 'output_tokens', number>>

/** An ending, as far as money is concerned. */
export interface Ended {
  status: string
  errorId: string | null
  /** From its start to its end; null where it never started. */
  seconds: number | null
  usage?: Usage | undefined
}
