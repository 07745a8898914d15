import { asCredits, asMicros } from '@millrace/ledger/micro'
import type { Response } from 'express'
import type { Context } from './context.ts'

/** Tells in headers what a request was charged, and what its account has left: micros, undefined where that is not known. */
export function tellCredits(response: Response, used: number, left: number | undefined): void {
  response.set('x-credits-used', String(asCredits(used)))
  if (left !== undefined) response.set('x-credits-remaining', String(asCredits(left)))
}

/** The same in the fields of an answer; none where it is not known. */
export function creditFields({ config }: Pick<Context, 'config'>, left: number | undefined): CreditFields {
  if (left === undefined) return {}
  return {
    _balance_warning: left < asMicros(config.BALANCE_WARNING_CREDITS),
    _remaining_credits: asCredits(left),
  }
}

/** Nothing, or both. */
export interface CreditFields {
  _balance_warning?: boolean
  _remaining_credits?: number
}
