import { matchesGlob } from '@millrace/contract/model-rules'
import type { Limits, RateFamily } from '@millrace/contract/plan'
import { type RateEntry, type RateWindow, slicesOf } from './rate-window.ts'

/**
 * The rates that limit something: those of the account and of the key, of all they do, of the family of routes and of
 * each entry for models that stands for this one. What an entry with a `*` stands for shares one window. They are made
 * once for each use of a holder and each list of measures, and are the same list each time.
 */
export function ratesOf(
  holder: RateHolder,
  { family, model }: RatedUse,
  measures: readonly Measure[],
): readonly Rate[] {
  const known = madeOf.get(holder)?.get(measures)?.get(family)?.get(model)
  if (known) return known
  const rates = makeRates(holder, { family, model }, measures)
  const made = madeOf.get(holder) ?? new Map<readonly Measure[], MadeOfFamily>()
  const ofMeasures = made.get(measures) ?? new Map<RatedUse['family'], Map<RatedUse['model'], Rate[]>>()
  const ofFamily = ofMeasures.get(family) ?? new Map<RatedUse['model'], Rate[]>()
  if (ofFamily.size >= mostMade) ofFamily.clear()
  madeOf.set(holder, made.set(measures, ofMeasures.set(family, ofFamily.set(model, rates))))
  return rates
}

const madeOf = new WeakMap<RateHolder, Map<readonly Measure[], MadeOfFamily>>()
const mostMade = 10_000

type MadeOfFamily = Map<RatedUse['family'], Map<RatedUse['model'], Rate[]>>

/** One of each: the same list for the same list, by which a store knows that the same is asked again. */
export function oneOfEach(rates: readonly Rate[]): readonly RatedEntry[] {
  const known = onesOf.get(rates)
  if (known) return known
  const ones = rates.map((rate) => entryOf(rate, 1))
  onesOf.set(rates, ones)
  return ones
}

const onesOf = new WeakMap<readonly Rate[], readonly RatedEntry[]>()

/** So much of a rate. */
export function entryOf(rate: Rate, cost: number): RatedEntry {
  return { rate, window: rate.window, limit: rate.limit, cost }
}

function makeRates(
  { accountId, keyId, account, key }: RateHolder,
  use: RatedUse,
  measures: readonly Measure[],
): Rate[] {
  const ofAccount = { accountId, owner: 'account', name: accountId } as const
  const ofKey = { accountId, owner: 'key', name: `key ${keyId}` } as const
  const parts = [
    ...partsOf(account, use).map((part) => ({ ...ofAccount, ...part })),
    ...(keyId === undefined ? [] : partsOf(key, use).map((part) => ({ ...ofKey, ...part }))),
  ]
  return parts.flatMap((part) => measures.flatMap((measure) => rateOf(part, measure) ?? []))
}

function partsOf(limits: Limits | null | undefined, { family, model }: RatedUse): Part[] {
  if (!limits) return []
  const ofFamily = family === undefined ? [] : [{ part: family, given: limits.families?.[family] ?? {} }]
  const ofModels = model === undefined ? [] : Object.entries(limits.models ?? {})
  return [
    { part: '', given: limits },
    ...ofFamily,
    ...ofModels
      .filter(([glob]) => matchesGlob(glob, model ?? ''))
      .map(([glob, given]) => ({ part: `model ${glob}`, given })),
  ]
}

function rateOf({ accountId, owner, name, part, given }: OwnedPart, measure: Measure): Rate | undefined {
  const limit = given[measure]
  if (limit === undefined) return undefined
  const seconds = given.window ?? usualSeconds
  const slices = slicesOf(limit, seconds)
  const window = {
    name: `${name} ${measure} ${seconds}/${slices.sliceMs} ${part}`,
    owner: accountId,
    ...slices,
  }
  return { owner, part, measure, limit, seconds, window }
}

/** Whether anything limits the rates of this one at all. */
export function hasRates({ account, key }: Pick<RateHolder, 'account' | 'key'>): boolean {
  return [account, key].some(
    (limits) =>
      limits &&
      (measures.some((measure) => limits[measure] !== undefined) ||
        limits.families !== undefined ||
        limits.models !== undefined),
  )
}

/** As the headers of a reply call it, such as `account-inference-tokens-in`. */
export function policyName({ owner, part, measure }: Pick<Rate, 'owner' | 'part' | 'measure'>): string {
  return [owner, part.replace(' ', ':'), measure === 'requests' ? '' : measure.replace('_', '-')]
    .filter(Boolean)
    .join('-')
}

const measures = ['requests', 'tokens_in', 'tokens_out'] as const
export const ofRequests: readonly Measure[] = ['requests']
export const ofTokens: readonly Measure[] = ['tokens_in', 'tokens_out']

const usualSeconds = 60

/** Whose rates they are. */
export interface RateHolder {
  accountId: string
  keyId?: string | undefined
  /** Of the plan of the account. */
  account: Limits | null | undefined
  key?: Limits | null | undefined
}

/** What is asked for. */
export interface RatedUse {
  family?: RateFamily | undefined
  /** By its own name, where it is of a model. */
  model?: string | undefined
}

export type Measure = (typeof measures)[number]

/** So much of something in a time. */
export interface Rate {
  owner: 'account' | 'key'
  /** Of what: empty for all, a family, or `model` with the glob. */
  part: string
  measure: Measure
  limit: number
  seconds: number
  window: RateWindow
}

/** What is counted of a rate. */
export interface RatedEntry extends RateEntry {
  rate: Rate
}

/** One entry of somebody's limits. */
interface Part extends Pick<Rate, 'part'> {
  given: Partial<Record<Measure | 'window', number | undefined>>
}

interface OwnedPart extends Part, Pick<Rate, 'owner'> {
  accountId: string
  /** Of the account, or of the key. */
  name: string
}
