import type { ChatRequest } from '@millrace/inference/chat'
import type { EmbeddingsRequest } from '@millrace/inference/embeddings'
import { FormulaFault } from '@millrace/ledger/formula'
import { asCredits } from '@millrace/ledger/micro'
import { costOf, type Price, priceOf, type Usage } from '@millrace/ledger/price'
import { unpaid } from '../acceptance.ts'
import { ApiError } from '../api-error.ts'
import type { Context } from '../context.ts'
import { type CreditFields, creditFields } from '../credits.ts'
import type { QuietCall } from './infer.ts'

/**
 * Sets aside what a call may cost, before its host is asked; a call that is free asks nobody. Once for a call, however
 * often it is tried. Throws INSUFFICIENT_CREDITS, PAYMENT_REQUIRED and BUDGET_EXCEEDED.
 */
export async function holdFor(
  { context, model, slug, bill }: QuietCall,
  request: ChatRequest | EmbeddingsRequest,
  most: () => { input: number; output: number },
): Promise<void> {
  if (bill.isHeld) return
  const { accountId, keyId, id, multiplier } = bill
  const terms = { multiplier, creditsPerUsd: context.config.CREDITS_PER_USD }
  bill.price = priceOf(model.pricing, request, terms)
  if (bill.price === null) return
  const { input, output } = most()
  const cost = micros(bill.price, {
    input_tokens: input,
    output_tokens: output,
    second: model.timeouts.run,
  })
  // A price is never nothing: who has nothing gets nothing.
  const amount = Math.max(1, cost)
  const { held, balance, budget } = await context.till.hold({ id, accountId, keyId, amount }, slug)
  bill.isHeld = held
  if (held) return
  if (budget)
    throw unpaid({ errorId: 'BUDGET_EXCEEDED', available: budget.room, budgetId: budget.id }, amount)
  if (balance < 0) throw new ApiError('PAYMENT_REQUIRED')
  throw new ApiError(
    'INSUFFICIENT_CREDITS',
    `This call may cost up to ${asCredits(amount)} credits, and the account does not have so many left.`,
  )
}

/**
 * What a call costs whose answer was given, in micros: docs/billing.md. Nothing where the answer says nothing. Once told it
 * stays the same.
 */
export function costSoFar({ bill, note }: Pick<QuietCall, 'bill' | 'note'>): number {
  if (!bill.price || !note.said) return 0
  bill.charge ??= micros(bill.price, {
    input_tokens: note.tokens?.input,
    output_tokens: note.tokens?.output,
    second: (performance.now() - bill.begun) / 1000,
  })
  return bill.charge
}

/** Charges a call that is over, and gives back what was held for it. Answers the charge in micros. */
export function settleBill(
  context: Context,
  call: Pick<QuietCall, 'bill' | 'note' | 'slug'>,
  isGiven: boolean,
): number {
  const { id, accountId, keyId, isHeld } = call.bill
  if (!isHeld) return 0
  const charge = isGiven ? costSoFar(call) : 0
  context.till.settle({ id, accountId, keyId, model: call.slug, charge })
  return charge
}

/** What an account has left when a call is charged, in micros; undefined where that is not known. */
export async function leftAfter(
  call: Pick<QuietCall, 'context' | 'bill' | 'note'>,
): Promise<number | undefined> {
  const balance = await call.context.till.balanceOf(call.bill.accountId)
  return balance === undefined ? undefined : balance - costSoFar(call)
}

/** The same as answers tell it. */
export async function creditsAfter(call: QuietCall): Promise<CreditFields> {
  return creditFields(call.context, await leftAfter(call))
}

/** What nobody counts, and what has no price, costs nothing. */
function micros(price: Price, usage: Record<string, number | undefined>): number {
  const known = Object.entries(usage).filter(([, count]) => count !== undefined)
  try {
    return Math.max(0, costOf(price, Object.fromEntries(known) as Usage) ?? 0)
  } catch (error) {
    if (error instanceof FormulaFault) return 0
    throw error
  }
}

/** Who pays for a call, and what. Money is in micros. */
export interface Bill {
  /** Of the call: its row in the activity log. */
  id: string
  accountId: string
  keyId: string | undefined
  /** Of the account's plan. */
  multiplier: number | undefined
  /** When the call began, by `performance.now()`. */
  begun: number
  /** Null where it is free; undefined until somebody is to be asked. */
  price?: Price | null
  isHeld: boolean
  charge?: number
}
