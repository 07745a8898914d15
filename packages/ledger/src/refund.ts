import type { Connection, Database } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import {
  blankEntry,
  enter,
  entryOfKey,
  type LedgerEntry,
  type Moved,
  type NoteEntry,
  onBalance,
  replayOf,
} from './move-credits.ts'

/**
 * Gives back a charge, or a part of it, once or many times, and never more in sum than was charged. With an idempotency
 * key that was used before, the entry that was made then, or `reused` where that was for something else; `missing` where
 * there is no such charge, and what is `left` of it where that is less than what is asked for. All amounts are micros.
 */
export async function refund(db: Database, request: Refund): Promise<Refunded> {
  const { accountId, of, amount, reason, idempotencyKey = null, note } = request
  return onBalance(db, accountId, async (client) => {
    const charge = await findCharge(client, accountId, of)
    const earlier = await entryOfKey(client, accountId, idempotencyKey)
    if (earlier) {
      const { prediction_id, call_id } = charge ?? blankEntry
      const wanted = { kind: 'refund', reason, prediction_id, call_id } as const
      return replayOf(earlier, amount === undefined ? wanted : { ...wanted, amount }) ?? 'reused'
    }
    if (!charge) return 'missing'
    const left = charge.amount - (await refundedOf(client, charge))
    if (left <= 0 || (amount ?? left) > left) return { left }
    const entry = await enter(client, {
      ...charge,
      id: newId(),
      kind: 'refund',
      debit: 'revenue',
      credit: 'account',
      amount: amount ?? left,
      reason,
      idempotency_key: idempotencyKey,
    })
    await note?.(client, entry)
    return { entry, replayed: false }
  })
}

async function findCharge(
  client: Connection,
  accountId: string,
  { predictionId, callId, entryId }: Refund['of'],
): Promise<LedgerEntry | undefined> {
  const [column, id] =
    predictionId !== undefined
      ? ['prediction_id', predictionId]
      : callId !== undefined
        ? ['call_id', callId]
        : ['id', entryId]
  const { rows } = await client.query<LedgerEntry>(
    `select * from ledger_entries where account_id = $1 and kind = 'charge' and ${column} = $2`,
    [accountId, id],
  )
  return rows[0]
}

async function refundedOf(client: Connection, charge: LedgerEntry): Promise<number> {
  const column = charge.prediction_id === null ? 'call_id' : 'prediction_id'
  const { rows } = await client.query<{ amount: number }>(
    `select coalesce(sum(amount), 0)::bigint as amount from ledger_entries where kind = 'refund' and ${column} = $1`,
    [charge[column]],
  )
  return rows[0]?.amount ?? 0
}

export interface Refund {
  accountId: string
  /** Which charge: of a prediction, of a call for inference, or by its own id. */
  of: { predictionId?: string | undefined; callId?: string | undefined; entryId?: string | undefined }
  /** All that is left of it unless told. */
  amount?: number | undefined
  reason: string
  idempotencyKey?: string | undefined
  /** Notes who did it, in the same transaction. */
  note?: NoteEntry | undefined
}

export type Refunded = Moved | 'missing' | 'reused' | { left: number }
