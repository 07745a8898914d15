import {
  AccountFault,
  type AccountRow,
  changeAccount,
  findAccount,
  makeAccount,
  pageAccounts,
  presentAccount,
} from '@millrace/accounts/manage-accounts'
import { makeKey } from '@millrace/accounts/manage-keys'
import { endpoints } from '@millrace/contract/endpoints'
import { fromTypeId } from '@millrace/database/ids'
import { actorOf } from '../actor-of.ts'
import { ApiError } from '../api-error.ts'
import { badParameter } from '../bad-parameter.ts'
import type { Context } from '../context.ts'
import { asKeyError, madeKeyOf, wishesOf } from '../key-wishes.ts'
import { pageOf, paginationOf } from '../paging.ts'
import { route } from '../route.ts'
import { tellCallers } from '../tell-callers.ts'

export const createAccount = route(endpoints.createAccount, async (incoming) => {
  const { context, body } = incoming
  const made = makeAccount(context.db, context.keyRing, actorOf(incoming), body)
  return presentAccount(await made.catch(asParameter))
})

export const listAccounts = route(endpoints.listAccounts, async ({ context, query }) => {
  const page = pageOf(query, 'acct')
  const found = await pageAccounts(context.db, page)
  return { data: found.rows.map(presentAccount), pagination: paginationOf(page, found, 'acct') }
})

export const getAccount = route(endpoints.getAccount, async ({ context, params }) => {
  return presentAccount(await existingAccount(context, params.id))
})

export const patchAccount = route(endpoints.patchAccount, async (incoming) => {
  const { context, body, params } = incoming
  const { id } = await existingAccount(context, params.id)
  const row = await changeAccount(context.db, actorOf(incoming), id, body).catch(asParameter)
  if (!row) throw new ApiError('ACCOUNT_NOT_FOUND')
  tellCallers(context, [id])
  return presentAccount(row)
})

export const createAccountKey = route(endpoints.createAccountKey, async (incoming) => {
  const { context, body, params, response } = incoming
  const { id: accountId } = await existingAccount(context, params.id)
  const wanted = { ...wishesOf(body), name: body.name, accountId }
  const made = await makeKey(context.db, context.keyRing, actorOf(incoming), wanted).catch(asKeyError)
  return madeKeyOf(response, made)
})

async function existingAccount({ db }: Context, publicId: string): Promise<AccountRow> {
  const id = fromTypeId('acct', publicId)
  const row = id === undefined ? undefined : await findAccount(db, id)
  if (!row) throw new ApiError('ACCOUNT_NOT_FOUND')
  return row
}

function asParameter(error: unknown): never {
  throw error instanceof AccountFault ? badParameter(error.field, error.message) : error
}
