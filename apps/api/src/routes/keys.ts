import { findKey, type KeyRow, pageKeys, presentKey } from '@millrace/accounts/find-keys'
import * as manage from '@millrace/accounts/manage-keys'
import { endpoints } from '@millrace/contract/endpoints'
import { fromTypeId } from '@millrace/database/ids'
import { actorOf } from '../actor-of.ts'
import { ApiError } from '../api-error.ts'
import { asKeyError, madeKeyOf, wishesOf } from '../key-wishes.ts'
import { pageOf, paginationOf } from '../paging.ts'
import { route } from '../route.ts'
import { tellCallers } from '../tell-callers.ts'

export const createKey = route(endpoints.createKey, async (incoming) => {
  const { context, caller, body, response } = incoming
  const wanted = { ...wishesOf(body), name: body.name, accountId: caller.accountId, asking: caller.keyId }
  const made = await manage.makeKey(context.db, context.keyRing, actorOf(incoming), wanted).catch(asKeyError)
  return madeKeyOf(response, made)
})

export const listKeys = route(endpoints.listKeys, async ({ context, caller, query }) => {
  const page = pageOf(query, 'key')
  const found = await pageKeys(context.db, caller.accountId, page)
  return { data: found.rows.map(presentKey), pagination: paginationOf(page, found, 'key') }
})

export const getKey = route(endpoints.getKey, async ({ context, caller, params }) => {
  return presentKey(existing(await findKey(context.db, caller.accountId, uuidOf(params.id))))
})

export const patchKey = route(endpoints.patchKey, async (incoming) => {
  const { context, caller, body, params } = incoming
  const change = { ...wishesOf(body), ...(body.name === undefined ? {} : { name: body.name }) }
  const about = { accountId: caller.accountId, id: uuidOf(params.id), asking: caller.keyId, change }
  const row = existing(await manage.changeKey(context.db, actorOf(incoming), about).catch(asKeyError))
  tellCallers(context, [row.id])
  return presentKey(row)
})

export const deleteKey = route(endpoints.deleteKey, async (incoming) => {
  const { context, caller, params } = incoming
  const about = { accountId: caller.accountId, id: uuidOf(params.id), asking: caller.keyId }
  const row = existing(await manage.revokeKey(context.db, actorOf(incoming), about).catch(asKeyError))
  tellCallers(context, [row.id])
  return presentKey(row)
})

export const rotateKey = route(endpoints.rotateKey, async (incoming) => {
  const { context, caller, body, params, response } = incoming
  const about = {
    accountId: caller.accountId,
    id: uuidOf(params.id),
    asking: caller.keyId,
    overlapSeconds: body.overlap,
    expires_at: wishesOf(body).expires_at,
  }
  const made = await manage.rotateKey(context.db, context.keyRing, actorOf(incoming), about).catch(asKeyError)
  if (!made) throw new ApiError('KEY_NOT_FOUND')
  tellCallers(context, [about.id])
  return madeKeyOf(response, made)
})

function uuidOf(publicId: string): string {
  const id = fromTypeId('key', publicId)
  if (id === undefined) throw new ApiError('KEY_NOT_FOUND')
  return id
}

function existing(row: KeyRow | undefined): KeyRow {
  if (!row) throw new ApiError('KEY_NOT_FOUND')
  return row
}
