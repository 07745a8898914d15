import type { EventData } from '@millrace/contract/webhook-body'
import type { AccountEventName } from '@millrace/contract/webhook-events'
import { type Database, transaction } from '@millrace/database/connect'
import { retryConflicts } from '@millrace/database/faults'
import { toTypeId } from '@millrace/database/ids'
import { asCredits } from '@millrace/ledger/micro'
import { type BudgetRow, presentBudget } from '@millrace/ledger/present-budget'
import { postAccountEvents } from '@millrace/webhooks/account-events'
import type { SweepReport } from './sweep.ts'

/**
 * Makes deliveries of what was noted for the endpoints of accounts, oldest first, many in one transaction: what moves
 * money, and holds its locks meanwhile, only notes what there is to tell. `wake` is called when there is something to send.
 */
export async function postNotedEvents(db: Database, wake: () => void): Promise<SweepReport | undefined> {
  let told = 0
  let owed = 0
  for (let full = true; full; ) {
    const posted = await retryConflicts(() => postSome(db))
    told += posted.events
    owed += posted.deliveries
    full = posted.events === atOnce
  }
  if (owed > 0) wake()
  return told > 0 ? { told } : undefined
}

async function postSome(db: Database): Promise<{ events: number; deliveries: number }> {
  return transaction(db, async (client) => {
    const { rows } = await client.query<NotedEvent>({
      name: 'take-account-events',
      text: `delete from account_events where id in (
               select id from account_events where name = any($1::text[])
               order by created_at limit ${atOnce} for update skip locked)
             returning account_id, data, name, created_at`,
      values: [noted],
    })
    const events = rows
      .sort((a, b) => a.created_at.getTime() - b.created_at.getTime())
      .map((row) => ({ accountId: row.account_id, name: row.name, data: dataOf(row) }))
    return { events: events.length, deliveries: await postAccountEvents(client, events) }
  })
}

/** What a newer release notes besides is for its own dispatchers. */
const noted: readonly NotedEvent['name'][] = ['budget.threshold', 'balance.low']

/** Taken in one transaction. */
const atOnce = 200

function dataOf({ account_id, ...event }: NotedEvent): EventData {
  switch (event.name) {
    case 'budget.threshold': {
      const budget = budgetOf(event.data.budget)
      // In the period that it counted in, which may be over by now.
      return { ...presentBudget(budget, budget.period_start), threshold: event.data.threshold }
    }
    case 'balance.low':
      return {
        id: toTypeId('acct', account_id),
        balance: asCredits(event.data.balance),
        warning_credits: asCredits(event.data.warning),
      }
  }
}

/** As the row was when it was noted; JSON knows no times. */
function budgetOf(row: WrittenBudget): BudgetRow {
  return {
    ...row,
    period_start: new Date(row.period_start),
    created_at: new Date(row.created_at),
    updated_at: new Date(row.updated_at),
  }
}

type NotedEvent = { account_id: string; created_at: Date } & (
  | { name: 'budget.threshold' & AccountEventName; data: { budget: WrittenBudget; threshold: object } }
  | { name: 'balance.low' & AccountEventName; data: { balance: number; warning: number } }
)

type WrittenBudget = Omit<BudgetRow, Time> & Record<Time, string>
type Time = 'period_start' | 'created_at' | 'updated_at'
