import { databaseNow } from '@millrace/database/clock'
import { asCredits, asMicros } from '@millrace/ledger/micro'
import type { PredictionRow } from '@millrace/lifecycle/present'
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

/**
 * Tells in headers what a prediction was charged until now, and what its account has left, which it answers: micros.
 */
export async function tellCharge(
  { till }: Pick<Context, 'till'>,
  response: Response,
  { account_id: accountId, charged, completed_at: completed }: PredictionRow,
): Promise<number | undefined> {
  // A charge that was just made elsewhere is not known here yet.
  const isNew = charged > 0 && completed !== null && databaseNow() - completed.getTime() < 2_000
  const left = await (isNew ? till.freshBalanceOf(accountId) : till.balanceOf(accountId))
  if (!response.headersSent) tellCredits(response, charged, left)
  return left
}

/** Nothing, or both. */
export interface CreditFields {
  _balance_warning?: boolean
  _remaining_credits?: number
}
