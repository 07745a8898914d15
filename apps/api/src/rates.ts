import { setTimeout as delay } from 'node:timers/promises'
import type { Caller } from '@millrace/accounts/api-keys'
import type { EndpointDefinition } from '@millrace/contract/endpoint'
import { familyOf } from '@millrace/contract/rate-families'
import type { Taking } from '@millrace/limits/open-rates'
import { openaiRateHeaders, rateHeaders, skytellsRateHeaders } from '@millrace/limits/rate-headers'
import { refusalOf } from '@millrace/limits/rate-refusal'
import {
  entryOf,
  hasRates,
  ofRequests,
  ofTokens,
  oneOfEach,
  type RatedEntry,
  type RatedUse,
  type RateHolder,
  ratesOf,
} from '@millrace/limits/rates'
import type { RequestHandler, Response } from 'express'
import { ApiError } from './api-error.ts'
import { callerOf } from './authenticate.ts'
import type { Context } from './context.ts'
import { envelopeOf } from './envelope-of.ts'

/**
 * Counts a request of an endpoint against the rates of its caller, once it is known who that is. What makes something
 * counts it itself, after it has looked for an earlier answer: its deed calls `takeRequest`.
 */
export function meter(context: Context, endpoint: EndpointDefinition): RequestHandler {
  const family = familyOf(endpoint)
  return async (_request, response, next) => {
    response.locals.family = family
    if (endpoint.counted === undefined) await takeRequest(context, response)
    next()
  }
}

/**
 * Counts one request, of a model where it is for one, and has its reply tell where the rates stand. Undefined where
 * nothing limits them: then nothing is asked. Throws RATE_LIMIT_EXCEEDED, or RATE_LIMITED where inference is answered; then it
 * was not counted.
 */
export function takeRequest(
  context: Context,
  response: Response,
  slug?: string,
): Promise<Taking | undefined> {
  const holder = holderOf(callerOf(response))
  return takeRequestFor(context, { holder, family: response.locals.family, response }, slug)
}

/** The same for whoever asks without a connection, such as a batch. */
export async function takeRequestFor(
  context: Context,
  { holder, family, response }: Pick<RatedCall, 'holder' | 'response'> & { family: RatedFamily },
  slug: string | undefined,
): Promise<Taking | undefined> {
  if (!hasRates(holder)) return undefined
  const model = slug && (context.catalogue.find(slug)?.namespace ?? slug)
  const rates = ratesOf(holder, { family, model }, ofRequests)
  return take(context, oneOfEach(rates), response)
}

/**
 * Counts the tokens of a call for inference as far as they are known before it; `settle` puts the true ones in their place. The
 * same as `takeRequest` otherwise, but for PAYLOAD_TOO_LARGE where the prompt alone is above a limit.
 */
export async function takeTokens(
  context: Context,
  asked: RatedCall,
  tokens: () => Promise<TokenEstimate>,
): Promise<Taking | undefined> {
  const { holder, use, response } = asked
  const rates = hasRates(holder) ? ratesOf(holder, use, ofTokens) : []
  if (rates.length === 0) return undefined
  const { input, output } = await tokens()
  const entries = rates.flatMap((rate) => {
    // An answer may be as long as it is allowed to be, if it is the only one.
    const cost = rate.measure === 'tokens_in' ? input : Math.min(output, rate.limit || 1)
    // What takes none of something is not held up by who took too much of it.
    return cost > 0 ? [entryOf(rate, cost)] : []
  })
  return take(context, entries, response)
}

/**
 * Takes what is asked for as soon as it can be had, however long that takes; `isAgain` says that it was refused before.
 * Rejects when the signal fires.
 */
export async function takePatiently<T>(
  work: (isAgain: boolean) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  for (let isAgain = false; ; isAgain = true) {
    signal.throwIfAborted()
    try {
      return await work(isAgain)
    } catch (error) {
      const seconds = pauseOf(error)
      if (seconds === undefined) throw error
      await delay(seconds * 1000, undefined, { signal })
    }
  }
}

/**
 * In how many seconds whoever waits asks again for what a limit refused; undefined for what was refused for anything
 * else. The limit may be another one by then, so it is never long.
 */
export function pauseOf(error: unknown): number | undefined {
  if (!(error instanceof ApiError) || !ofLimits.includes(error.id)) return undefined
  return Math.min(longestPause, Number(error.options.headers?.['retry-after'] ?? 1))
}

/** Seconds. */
const longestPause = 5

const ofLimits: readonly string[] = ['RATE_LIMIT_EXCEEDED', 'RATE_LIMITED', 'QUEUE_FULL']

/** Whose rates a caller's requests count in; the same each time, as the caller is. */
export function holderOf(caller: RatedCaller): RateHolder {
  const known = holders.get(caller)
  if (known) return known
  const { accountId, keyId, plan, limits } = caller
  const holder = { accountId, keyId, account: plan.limits, key: limits }
  holders.set(caller, holder)
  return holder
}

const holders = new WeakMap<RatedCaller, RateHolder>()

async function take(
  { rates, config }: Context,
  entries: readonly RatedEntry[],
  response: Response | undefined,
): Promise<Taking | undefined> {
  if (entries.length === 0) return undefined
  const taking = await rates.take(entries)
  if (response && !response.headersSent) tell(response, taking, config.DIALECTS)
  if (!taking.counted) throw refusal(taking, response)
  return taking
}

/** On what was refused as well: who asks again knows when. */
function tell(response: Response, { levels }: Taking, dialects: readonly string[]): void {
  const earlier = response.locals.levels as Taking['levels'] | undefined
  const known = earlier ? [...earlier, ...levels] : levels
  response.locals.levels = known
  const headers = [
    ...rateHeaders(known),
    ...(dialects.includes('skytells') ? skytellsRateHeaders(known) : []),
    ...(response.locals.family === 'inference' ? openaiRateHeaders(known) : []),
  ]
  for (const [name, value] of headers) response.setHeader(name, value)
}

function refusal({ levels }: Taking, response: Response | undefined): ApiError {
  const { message, seconds, never } = refusalOf(levels)
  if (never) return new ApiError('PAYLOAD_TOO_LARGE', message, { details: 'Send less at once.' })
  const isRest = !response || envelopeOf(response.req.path, response.req.get('anthropic-version')) === 'rest'
  return new ApiError(isRest ? 'RATE_LIMIT_EXCEEDED' : 'RATE_LIMITED', message, {
    headers: { 'retry-after': String(seconds) },
  })
}

export type RatedFamily = ReturnType<typeof familyOf>

export type RatedAccount = Pick<Caller, 'accountId' | 'plan'>
/** Whose rates something counts in; a key's as well, where it was asked for with one. */
export type RatedCaller = RatedAccount & Partial<Pick<Caller, 'keyId' | 'limits'>>

/** A call, whose it is and what for. */
export interface RatedCall {
  holder: RateHolder
  use: RatedUse
  /** Where somebody waits for the answer over HTTP. */
  response?: Response | undefined
}

/** Tokens as far as they are known before a call. */
export interface TokenEstimate {
  input: number
  output: number
}
