import { z } from 'zod'
import { pageQuery, pagination } from './lists.ts'

const credits = z.number()
const reason = z.string().trim().min(1).max(500)

/** `GET /v1/balance`. */
export const balance = z
  .object({
    balance: credits.describe('All that there is; below zero, nothing that costs is taken'),
    held: credits.describe('What of it is set aside for what is under way'),
    available: credits.describe('The rest, for what comes next'),
    currency: z.literal('credits').describe('Always credits'),
    low: z.boolean().describe('The balance is below BALANCE_WARNING_CREDITS of this service'),
  })
  .meta({ id: 'Balance', description: 'The credits of an account' })

/** What an entry of the ledger is for. */
export const entryKinds = ['topup', 'charge', 'refund', 'debit'] as const

/** One movement of credits. */
export const ledgerEntry = z
  .object({
    id: z.string().describe('entry_…'),
    kind: z
      .enum(entryKinds)
      .describe('topup: given; charge: used; refund: given back; debit: taken by the operator'),
    amount: credits.describe('Credits; below zero where they left the account'),
    debit: z.enum(['account', 'revenue', 'funding']).describe('The book that they left'),
    credit: z.enum(['account', 'revenue', 'funding']).describe('The book that they went to'),
    prediction_id: z.string().nullable().describe('What it was for; null where for no prediction'),
    request_id: z.string().nullable().describe('The call for inference that it was for; null where for none'),
    call_id: z
      .string()
      .nullable()
      .describe('call_…: the row of that call in GET /v1/activity; null where none'),
    key_id: z.string().nullable().describe('The API key that asked for it; null where none did'),
    model: z.string().nullable().describe('What was used; null where nothing was'),
    reason: z.string().nullable().describe('Why, in the words of the operator; null for a charge'),
    created_at: z.string().describe('When'),
  })
  .meta({ id: 'LedgerEntry', description: 'One movement of credits' })

export const ledgerEntryList = z
  .object({ data: z.array(ledgerEntry).describe('Newest first'), pagination })
  .meta({ id: 'LedgerEntryList', description: 'A page of the ledger' })

/** The query of `GET /v1/ledger`. */
export const listLedgerQuery = pageQuery.extend({
  from: z.string().optional().describe('YYYY-MM-DD or a full time, inclusive'),
  to: z.string().optional().describe('YYYY-MM-DD or a full time, inclusive'),
  kind: z.enum(entryKinds).optional().describe('Only those of this kind'),
  prediction_id: z.string().optional().describe('Only those of this prediction'),
  format: z
    .enum(['json', 'csv'])
    .optional()
    .describe('`csv` answers all entries of the filter, as `Accept: text/csv` does'),
})

/** The body of `POST /v1/admin/accounts/{id}/credits`. */
export const moveCreditsBody = z
  .object({
    amount: z
      .number()
      .min(-1_000_000_000)
      .max(1_000_000_000)
      .describe('Credits to give; below zero, to take, which may bring the balance below zero'),
    reason: reason.describe('For the ledger'),
  })
  .meta({ id: 'MoveCredits', description: 'Credits for an account, or from it' })

/** The body of `POST /v1/admin/accounts/{id}/refunds`. */
export const refundBody = z
  .object({
    prediction_id: z.string().optional().describe('Whose charge is given back'),
    call_id: z
      .string()
      .optional()
      .describe('call_… or req_…, as the ledger has it: the call for inference whose charge is given back'),
    entry_id: z.string().optional().describe('entry_…: the charge itself'),
    amount: z
      .number()
      .positive()
      .max(1_000_000_000)
      .optional()
      .describe('Credits; all that is left of the charge unless told'),
    reason: reason.describe('For the ledger'),
  })
  .meta({ id: 'RefundCharge', description: 'A charge to give back; one of the three ids names it' })

/** What the operator did to a balance. */
export const creditsMoved = z
  .object({
    entry: ledgerEntry.describe('What was entered'),
    balance: balance.describe('What the account has now'),
  })
  .meta({ id: 'CreditsMoved', description: 'An entry, and the balance as it is now' })

export type Balance = z.infer<typeof balance>
export type LedgerEntryShown = z.infer<typeof ledgerEntry>
