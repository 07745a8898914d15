import { type Actor, noteAct } from '@millrace/accounts/audit'
import { toTypeId } from '@millrace/database/ids'
import { asCredits } from '@millrace/ledger/micro'
import type { NoteEntry } from '@millrace/ledger/move-credits'

/** Puts a movement of credits on the audit log, in the transaction that does it. */
export function noteCredits(actor: Actor): NoteEntry {
  return (connection, { id, account_id: accountId, kind, amount, reason }) =>
    noteAct(connection, actor, {
      act: `credits.${kind}`,
      target: toTypeId('entry', id),
      accountId,
      after: { amount: asCredits(amount), reason },
    })
}
