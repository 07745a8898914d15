import type { PredictionRow } from '../history.ts'
import type { Promises } from './promises.ts'

/** What a prediction costs, and that the books are right. Money is in millionths of a credit. */
export const moneyPromises: Promises = {
  'what succeeds is paid once, and nothing else is paid': function* ({ rows }) {
    for (const row of rows.values()) {
      const { id, model, status, held, charged, charges } = row
      const price = prices[model] ?? 0
      if (held !== price) yield `${id} had ${held} set aside, and costs ${price}`
      if (charged !== dueOf(row)) yield `${id} (${status}) was charged ${charged}, and owes ${dueOf(row)}`
      const entries = charges.join(' and ')
      if (entries !== (charged === 0 ? '' : `${charged}`))
        yield `${id} was charged ${charged}, the ledger says ${entries || 'nothing'}`
    }
  },
  'the books add up': function* ({ books }) {
    for (const { account, balance, entries, held, holds } of books) {
      if (balance !== entries) yield `${account} has ${balance}, and its entries add up to ${entries}`
      if (held !== holds) yield `${account} has ${held} set aside, and its runs add up to ${holds}`
    }
  },
}

function dueOf({ model, status }: PredictionRow): number {
  return status === 'succeeded' ? (prices[model] ?? 0) : 0
}

/** Of the models that cost something; see ../models. */
export const prices: Readonly<Record<string, number>> = { 'paid-echo': 10_000 }
