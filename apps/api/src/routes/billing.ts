import type { Balance, LedgerEntryShown } from '@millrace/contract/billing'
import { endpoints } from '@millrace/contract/endpoints'
import { fromTypeId, type IdPrefix, toTypeId } from '@millrace/database/ids'
import { readBalance } from '@millrace/ledger/balance'
import { type EntryFilter, listEntries } from '@millrace/ledger/list-entries'
import { asCredits, asMicros } from '@millrace/ledger/micro'
import { type LedgerEntry, moveCredits as move } from '@millrace/ledger/move-credits'
import { refund } from '@millrace/ledger/refund'
import type { Request, Response } from 'express'
import { actorOf } from '../actor-of.ts'
import { ApiError } from '../api-error.ts'
import { badParameter } from '../bad-parameter.ts'
import type { Context } from '../context.ts'
import { timeRange } from '../date-range.ts'
import { idempotencyOf } from '../idempotency-key.ts'
import { sendLedger } from '../ledger-csv.ts'
import { noteCredits } from '../note-credits.ts'
import { pageOf, paginationOf } from '../paging.ts'
import { answered, route } from '../route.ts'

export const getBalance = route(endpoints.getBalance, ({ context, caller }) =>
  balanceOf(context, caller.accountId),
)

export const listLedger = route(
  endpoints.listLedger,
  async ({ context, caller, query, request, response }) => {
    const page = pageOf(query, 'entry')
    const filter: EntryFilter = {
      accountId: caller.accountId,
      kind: query.kind,
      ...timeRange(query.from, query.to),
      ...(query.prediction_id === undefined
        ? {}
        : { predictionId: idOf('prediction_id', 'pred', query.prediction_id) }),
    }
    if (query.format === 'csv' || (query.format === undefined && wantsCsv(request))) {
      await sendLedger(context.db, filter, response, presentEntry)
      return answered
    }
    const found = await listEntries(context.db, filter, page)
    return { data: found.rows.map(presentEntry), pagination: paginationOf(page, found, 'entry') }
  },
)

export const moveCredits = route(
  endpoints.moveCredits,
  async ({ context, caller, params, body, request, raw, response }) => {
    const accountId = await existingAccount(context, params.id)
    const note = noteCredits(actorOf({ caller, request, response }))
    const amount = asMicros(body.amount)
    if (amount === 0) throw badParameter('amount', 'must be a millionth of a credit or more')
    const idempotencyKey = idempotencyOf(request, raw)?.key
    const moved = await move(context.db, {
      accountId,
      amount,
      reason: body.reason,
      idempotencyKey,
      balanceWarning: context.lifecycle.balanceWarning,
      note,
    })
    if (!moved) throw new ApiError('IDEMPOTENCY_KEY_REUSED')
    return movedOf(context, accountId, moved, response)
  },
)

export const refundCharge = route(
  endpoints.refundCharge,
  async ({ context, caller, params, body, request, raw, response }) => {
    const { prediction_id, call_id, entry_id, amount, reason } = body
    if ([prediction_id, call_id, entry_id].filter((id) => id !== undefined).length !== 1) {
      throw badParameter('prediction_id', 'or call_id or entry_id must name the charge: one of them')
    }
    const accountId = await existingAccount(context, params.id)
    const given = await refund(context.db, {
      accountId,
      of: {
        predictionId: prediction_id === undefined ? undefined : idOf('prediction_id', 'pred', prediction_id),
        callId: call_id === undefined ? undefined : callOf(call_id),
        entryId: entry_id === undefined ? undefined : idOf('entry_id', 'entry', entry_id),
      },
      amount: amount === undefined ? undefined : atLeastOne(asMicros(amount)),
      reason,
      idempotencyKey: idempotencyOf(request, raw)?.key,
      note: noteCredits(actorOf({ caller, request, response })),
    })
    if (given === 'reused') throw new ApiError('IDEMPOTENCY_KEY_REUSED')
    if (given === 'missing') {
      if (prediction_id !== undefined)
        throw new ApiError('PREDICTION_NOT_FOUND', 'This account was charged for no such prediction.')
      throw badParameter(call_id === undefined ? 'entry_id' : 'call_id', 'names no charge of this account')
    }
    if ('left' in given)
      throw badParameter('amount', `must be at most ${asCredits(given.left)}: more is not left of the charge`)
    return movedOf(context, accountId, given, response)
  },
)

/** An entry as the contract shows it. */
export function presentEntry(entry: LedgerEntry): LedgerEntryShown {
  const { prediction_id, call_id, key_id } = entry
  return {
    id: toTypeId('entry', entry.id),
    kind: entry.kind,
    amount: asCredits(entry.credit === 'account' ? entry.amount : -entry.amount),
    debit: entry.debit,
    credit: entry.credit,
    prediction_id: prediction_id && toTypeId('pred', prediction_id),
    request_id: call_id && toTypeId('req', call_id),
    call_id: call_id && toTypeId('call', call_id),
    key_id: key_id && toTypeId('key', key_id),
    model: entry.model,
    reason: entry.reason,
    created_at: entry.created_at.toISOString(),
  }
}

async function balanceOf({ db, config }: Context, accountId: string): Promise<Balance> {
  const { balance, held, available } = await readBalance(db, accountId)
  return {
    balance: asCredits(balance),
    held: asCredits(held),
    available: asCredits(available),
    currency: 'credits',
    low: balance < asMicros(config.BALANCE_WARNING_CREDITS),
  }
}

async function movedOf(
  context: Context,
  accountId: string,
  { entry, replayed }: { entry: LedgerEntry; replayed: boolean },
  response: Response,
) {
  if (replayed) response.set('idempotency-replayed', 'true')
  return { entry: presentEntry(entry), balance: await balanceOf(context, accountId) }
}

async function existingAccount({ db }: Context, publicId: string): Promise<string> {
  const id = fromTypeId('acct', publicId)
  const found =
    id && (await db.kysely.selectFrom('accounts').select('id').where('id', '=', id).executeTakeFirst())
  if (!found) throw new ApiError('ACCOUNT_NOT_FOUND')
  return found.id
}

function idOf(name: string, prefix: IdPrefix, publicId: string): string {
  const id = fromTypeId(prefix, publicId)
  if (id === undefined) throw badParameter(name, `must be an id: ${prefix}_…`)
  return id
}

/** The ledger has both ids of a call, and the activity the one. */
function callOf(publicId: string): string {
  return fromTypeId('req', publicId) ?? idOf('call_id', 'call', publicId)
}

function atLeastOne(micros: number): number {
  if (micros === 0) throw badParameter('amount', 'must be a millionth of a credit or more')
  return micros
}

/** Browsers and curl take anything: a table only for who names it before JSON. */
function wantsCsv(request: Request): boolean {
  return (
    request.get('accept') !== undefined && request.accepts(['application/json', 'text/csv']) === 'text/csv'
  )
}
