import { type Connection, type Database, transaction } from '@millrace/database/connect'
import { retryConflicts } from '@millrace/database/faults'
import { newId } from '@millrace/database/ids'
import type { LedgerEntryTable } from '@millrace/database/tables'
import type { Selectable } from 'kysely'
import { tellLowBalances, usualWarning } from './balance-warning.ts'

/**
 * Gives an account credits, or takes some from it where `amount` is negative: below zero, if it must be. With an
 * idempotency key that was used before, the entry that was made then; undefined where that was for something else.
 * Throws 23503 where there is no such account.
 */
export async function moveCredits(db: Database, move: Move): Promise<Moved | undefined> {
  const { accountId, amount, reason, idempotencyKey = null, note, balanceWarning } = move
  const wanted: NewEntry = {
    ...(amount < 0 ? takenAway : topup),
    id: newId(),
    account_id: accountId,
    amount: Math.abs(amount),
    reason,
    idempotency_key: idempotencyKey,
  }
  return onBalance(db, accountId, async (client) => {
    const earlier = await entryOfKey(client, accountId, idempotencyKey)
    if (earlier) return replayOf(earlier, wanted)
    const entry = await enter(client, wanted, balanceWarning)
    await note?.(client, entry)
    return { entry, replayed: false }
  })
}

/** Does `work` in a transaction that holds the row of a balance, which is made where there is none. */
export async function onBalance<T>(
  db: Database,
  accountId: string,
  work: (client: Connection) => Promise<T>,
): Promise<T> {
  return retryConflicts(() =>
    transaction(db, async (client) => {
      await client.query('insert into balances (account_id) values ($1) on conflict do nothing', [accountId])
      await client.query('select from balances where account_id = $1 for update', [accountId])
      return work(client)
    }),
  )
}

/**
 * Writes an entry and moves the balance by it, within `onBalance`; one that falls below `balanceWarning` micros is told as
 * low. Answers the entry as it was stored.
 */
export async function enter(
  client: Connection,
  entry: NewEntry,
  balanceWarning = usualWarning,
): Promise<LedgerEntry> {
  const { rows } = await client.query<LedgerEntry>(
    `insert into ledger_entries (id, account_id, kind, debit, credit, amount, prediction_id, call_id, key_id, model, reason, idempotency_key)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) returning *`,
    [
      entry.id,
      entry.account_id,
      entry.kind,
      entry.debit,
      entry.credit,
      entry.amount,
      entry.prediction_id,
      entry.call_id,
      entry.key_id,
      entry.model,
      entry.reason,
      entry.idempotency_key,
    ],
  )
  const [stored] = rows
  if (!stored) throw new Error('an entry was not stored')
  const change = entry.credit === 'account' ? entry.amount : -entry.amount
  await client.query(
    `with moved as (
       insert into balances as b (account_id, balance) values ($1, $2)
       on conflict (account_id) do update set balance = b.balance + excluded.balance
       returning account_id, balance, balance - $2 as before
     )${tellLowBalances('moved', '$3')}`,
    [entry.account_id, change, balanceWarning],
  )
  return stored
}

/** The entry that an idempotency key of an account made. */
export async function entryOfKey(
  client: Connection,
  accountId: string,
  key: string | null,
): Promise<LedgerEntry | undefined> {
  if (key === null) return undefined
  const { rows } = await client.query<LedgerEntry>(
    'select * from ledger_entries where account_id = $1 and idempotency_key = $2',
    [accountId, key],
  )
  return rows[0]
}

/** An earlier entry as the answer to a request for `wanted`; undefined where it was for something else. */
export function replayOf(earlier: LedgerEntry, wanted: Partial<Omit<NewEntry, 'id'>>): Moved | undefined {
  const told = ['kind', 'amount', 'reason', 'prediction_id', 'call_id'] as const
  const same = told.every((name) => wanted[name] === undefined || wanted[name] === earlier[name])
  return same ? { entry: earlier, replayed: true } : undefined
}

/** Of neither a prediction nor a call. */
export const blankEntry = {
  prediction_id: null,
  call_id: null,
  key_id: null,
  model: null,
  idempotency_key: null,
}

/** Credits that an account is given. */
export const topup = { ...blankEntry, kind: 'topup', debit: 'funding', credit: 'account' } as const

const takenAway = { ...blankEntry, kind: 'debit', debit: 'account', credit: 'funding' } as const

export interface Move {
  accountId: string
  /** Micros. */
  amount: number
  reason: string
  idempotencyKey?: string | undefined
  /** Notes who did it, in the same transaction. */
  note?: NoteEntry | undefined
  /** Below how many micros a balance is called low; as usual unless told. */
  balanceWarning?: number
}

/** Writes down what belongs to an entry. */
export type NoteEntry = (connection: Connection, entry: LedgerEntry) => Promise<void>

/** An entry, and whether an earlier request had made it. */
export interface Moved {
  entry: LedgerEntry
  replayed: boolean
}

export type LedgerEntry = Selectable<LedgerEntryTable>
export type NewEntry = Omit<LedgerEntry, 'created_at'>
