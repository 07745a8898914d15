import type { Query } from '@millrace/database/connect'
import { newIdAt } from '@millrace/database/ids'
import type { CountedIn } from '@millrace/database/tables'
import { tellLowBalances, usualWarning } from '@millrace/ledger/balance-warning'
import { chargeBudgetsQueries } from '@millrace/ledger/charge-budgets'
import { endingCharge, type Price, type Usage } from '@millrace/ledger/price'
import { rangeOf } from './id-range.ts'
import type { MovedRow } from './outbox.ts'

/**
 * What an ended prediction is charged, of what was held for it; undefined where nothing was. Notes the charge in the row,
 * so that webhooks tell of it.
 */
export function billOf(row: Billed, usage: Usage | undefined): Bill | undefined {
  if (row.hold === 0) return undefined
  const { started_at: from, completed_at: to, status, error_id: errorId } = row
  const seconds = from && to ? (to.getTime() - from.getTime()) / 1000 : null
  const charge = row.price ? endingCharge(row.price, { status, errorId, seconds, usage }, row.hold) : 0
  const shown = row.charged === charge
  row.charged = charge
  return {
    prediction_id: row.id,
    account_id: row.account_id,
    entry_id: newIdAt(row.updated_at),
    hold: row.hold,
    charge,
    shown,
    budgets: row.budgets,
    key_id: row.key_id,
    model: row.model,
  }
}

/**
 * Take the charges from the balances and release the holds, in the transaction that ends the predictions: the last of
 * its statements, since a busy account has one balance for all.
 */
export function chargeQueries(bills: Bill[], balanceWarning = usualWarning): Query[] {
  if (bills.length === 0) return []
  const unshown = bills.filter(({ shown }) => !shown)
  return [
    ...(unshown.length === 0 ? [] : [showQuery(unshown)]),
    { name: 'charge', text: statement, values: [JSON.stringify(bills), balanceWarning] },
    ...chargeBudgetsQueries(bills),
  ]
}

/** Notes the charges in the rows. */
function showQuery(bills: Bill[]): Query {
  const ids = bills.map(({ prediction_id }) => prediction_id)
  return { name: 'show-charge', text: showStatement, values: [JSON.stringify(bills), ...rangeOf(ids)] }
}

const showStatement = `
  with incoming as materialized (
    select * from json_to_recordset($1) as i(prediction_id uuid, charge bigint)
  ), removed as (
    update removed_predictions r set charged = i.charge from incoming i where r.id = i.prediction_id
  )
  update predictions p set charged = i.charge from incoming i where p.id = i.prediction_id and p.id between $2 and $3`

const statement = `
  with incoming as materialized (
    select * from json_to_recordset($1) as i(prediction_id uuid, account_id uuid, entry_id uuid, hold bigint, charge bigint,
                                             key_id uuid, model text)
  ), entered as (
    insert into ledger_entries (id, account_id, kind, debit, credit, amount, prediction_id, key_id, model)
    select entry_id, account_id, 'charge', 'account', 'revenue', charge, prediction_id, key_id, model
    from incoming where charge > 0
    returning 1
  ), spent as materialized (
    -- once all else is written: nobody waits for a balance while that is
    select account_id, sum(charge)::bigint as charge, sum(hold)::bigint as hold from incoming
    where (select count(*) from entered) >= 0
    group by account_id order by account_id
  ), charged as materialized (
    select account_id, charge, charge_credits(account_id, charge, hold) as balance from spent
  ), moved as (
    select account_id, balance, balance + charge as before from charged
  )
  ${tellLowBalances('moved', '$2')}`

/** An ended prediction with what its run held. */
type Billed = MovedRow & { hold: number; price: Price | null; budgets: CountedIn[] | null }

/** What becomes of the credits that were held for a prediction, in micros. */
export interface Bill {
  prediction_id: string
  account_id: string
  entry_id: string
  hold: number
  charge: number
  /** Its row has it already. */
  shown: boolean
  /** Where they were held as well. */
  budgets: CountedIn[] | null
  key_id: string | null
  model: string
}
