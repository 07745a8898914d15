import type { Taking } from '@millrace/limits/open-rates'
import type { RateHolder } from '@millrace/limits/rates'
import type { Response } from 'express'
import type { Context } from '../context.ts'
import { type RatedFamily, type TokenEstimate, takeTokens } from '../rates.ts'

/**
 * Counts the tokens of one call: as they are estimated before a host is asked, and as they were in truth once it is
 * over. A call that is refused for them does not count as a request either.
 */
export function meterTokens(
  context: Context,
  { slug, holder, family, response, taken }: Metered,
): TokenMeter {
  let taking: Promise<Taking | undefined> | undefined
  let final = false
  const use = { family, model: context.catalogue.find(slug)?.namespace ?? slug }

  async function takeOnce(estimate: () => Promise<TokenEstimate>): Promise<Taking | undefined> {
    try {
      return await takeTokens(context, { holder, use, response }, estimate)
    } catch (error) {
      taking = undefined
      await taken()?.settle(() => 0)
      throw error
    }
  }

  return {
    async take(estimate, { isFinal = false } = {}) {
      final = isFinal
      taking ??= takeOnce(estimate)
      await taking
    },
    settle(used) {
      if (final) return
      const { input = 0, output = 0 } = used ?? {}
      void taking?.then((counted) =>
        counted?.settle(({ measure }) => (measure === 'tokens_in' ? input : output)),
      )
    },
  }
}

/** Whose rates a call counts in. */
export interface Rated {
  holder: RateHolder
  family: RatedFamily
  response?: Response | undefined
}

interface Metered extends Rated {
  /** The model, as asked. */
  slug: string
  /** Its count as a request, where it has one. */
  taken(): Taking | undefined
}

export interface TokenMeter {
  /** Throws RATE_LIMITED and PAYLOAD_TOO_LARGE. `isFinal` says that nobody will tell the true ones. */
  take(estimate: () => Promise<TokenEstimate>, options?: { isFinal?: boolean }): Promise<void>
  /** Nobody waits for that. */
  settle(used: { input: number; output: number } | undefined): void
}
