import type { Limits, RateFamily } from '@millrace/contract/plan'
import { matchesGlob } from './globs.ts'
import { type RateWindow, slicesOf } from './rate-window.ts'

/**
 * The rates that limit something: those of the account and of the key, of all they do, of the family of routes and of
 * each entry for models that stands for this one. What an entry with a `*` stands for shares one window.
 */
export function ratesOf(
  holder: RateHolder,
  { family, model }: RatedUse,
  measures: readonly Measure[],
): Rate[] {
  const { accountId, keyId, account, key } = holder
  return [
    ...ratesIn(account, { owner: 'account', id: accountId }),
    ...(keyId === undefined ? [] : ratesIn(key, { owner: 'key', id: keyId })),
  ]

  function ratesIn(limits: Limits | null | undefined, of: { owner: Rate['owner']; id: string }): Rate[] {
    if (!limits) return []
    const scoped = [
      { part: '', given: limits },
      ...(family === undefined ? [] : [{ part: family, given: limits.families?.[family] }]),
      ...Object.entries(model === undefined ? {} : (limits.models ?? {}))
        .filter(([glob]) => matchesGlob(glob, model ?? ''))
        .map(([glob, given]) => ({ part: `model ${glob}`, given })),
    ]
    return scoped.flatMap(({ part, given }) =>
      measures.flatMap((measure) => {
        const limit = given?.[measure]
        if (limit === undefined) return []
        const seconds = given?.window ?? usualSeconds
        return [
          {
            owner: of.owner,
            part,
            measure,
            limit,
            seconds,
            window: windowOf(accountId, of, part, measure, limit, seconds),
          },
        ]
      }),
    )
  }
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

export const measures = ['requests', 'tokens_in', 'tokens_out'] as const

const usualSeconds = 60

function windowOf(
  account: string,
  { owner, id }: { owner: Rate['owner']; id: string },
  part: string,
  measure: Measure,
  limit: number,
  seconds: number,
): RateWindow {
  const slices = slicesOf(limit, seconds)
  const name = `${owner === 'key' ? `key ${id}` : account} ${measure} ${seconds}/${slices.sliceMs} ${part}`
  return { name, owner: account, ...slices }
}

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
