import type { Caller } from '@millrace/accounts/api-keys'
import {
  readSecrets,
  rotateSecret,
  type SecretOwner,
  type Secrets,
  storeSecret,
} from '@millrace/accounts/signing-secrets'
import { endpoints } from '@millrace/contract/endpoints'
import type { Endpoint } from '@millrace/contract/webhook-endpoint'
import { transaction } from '@millrace/database/connect'
import { fromTypeId, newId, toTypeId } from '@millrace/database/ids'
import type { EndpointTable } from '@millrace/database/tables'
import { type Selectable, sql } from 'kysely'
import { actorOf } from '../actor-of.ts'
import { ApiError } from '../api-error.ts'
import { checkEvents, checkWebhookUrl } from '../check-webhook.ts'
import type { Context } from '../context.ts'
import { pageOf, paginationOf } from '../paging.ts'
import { route } from '../route.ts'
import { pageEndpoints } from '../webhook-endpoints.ts'

export const createWebhook = route(endpoints.createWebhook, async ({ context, caller, body }) => {
  const { url, events = ['*'], format = 'envelope', description = '', headers = {}, active = true } = body
  checkEvents(events, 'events', { all: true })
  await checkWebhookUrl(context.guard, url, 'url')
  const id = newId()
  const row = await transaction(context.db, async (client) => {
    const { rows } = await client.query<EndpointRow>(
      `insert into webhook_endpoints (id, account_id, url, events, format, description, headers, active)
       values ($1, $2, $3, $4, $5, $6, $7, $8) returning *`,
      [id, caller.accountId, url, events, format, description, JSON.stringify(headers), active],
    )
    await storeSecret(client, context.keyRing, { accountId: caller.accountId, endpointId: id })
    return rows[0]
  })
  return endpointOf(existing(row))
})

export const listWebhooks = route(endpoints.listWebhooks, async ({ context, caller, query }) => {
  const page = pageOf(query, 'whe')
  const found = await pageEndpoints(context.db, caller.accountId, page)
  return { data: found.rows.map(endpointOf), pagination: paginationOf(page, found, 'whe') }
})

export const getWebhook = route(endpoints.getWebhook, async ({ context, caller, params }) => {
  return endpointOf(await ownEndpoint(context, caller, params.id))
})

export const patchWebhook = route(endpoints.patchWebhook, async ({ context, caller, params, body }) => {
  const { id } = await ownEndpoint(context, caller, params.id)
  if (body.events) checkEvents(body.events, 'events', { all: true })
  if (body.url !== undefined) await checkWebhookUrl(context.guard, body.url, 'url')
  const { headers, ...plain } = body
  const row = await context.db.kysely
    .updateTable('webhook_endpoints')
    .set({
      updated_at: sql`clock_timestamp()`,
      ...plain,
      ...(headers ? { headers: JSON.stringify(headers) } : {}),
    })
    .$if(body.active === true, (query) => query.set({ disabled_reason: null, failing_since: null }))
    .where('id', '=', id)
    .where('account_id', '=', caller.accountId)
    .returningAll()
    .executeTakeFirst()
  return endpointOf(existing(row))
})

export const deleteWebhook = route(endpoints.deleteWebhook, async ({ context, caller, params }) => {
  const { id } = await ownEndpoint(context, caller, params.id)
  await context.db.kysely
    .deleteFrom('webhook_endpoints')
    .where('id', '=', id)
    .where('account_id', '=', caller.accountId)
    .execute()
  return { id: params.id, deleted: true }
})

export const getWebhookSecret = route(endpoints.getWebhookSecret, async ({ context, caller, params }) => {
  return secretOf(
    params.id,
    await readSecrets(context.db, context.keyRing, await secretOwner(context, caller, params.id)),
  )
})

export const rotateWebhookSecret = route(endpoints.rotateWebhookSecret, async (incoming) => {
  const { context, caller, params } = incoming
  const owner = await secretOwner(context, caller, params.id)
  return secretOf(params.id, await rotateSecret(context.db, context.keyRing, owner, actorOf(incoming)))
})

async function secretOwner(context: Context, caller: Caller, id: string): Promise<SecretOwner> {
  const endpointId = id === 'default' ? null : (await ownEndpoint(context, caller, id)).id
  return { accountId: caller.accountId, endpointId }
}

function secretOf(id: string, { secrets: [secret], previousRetiresAt }: Secrets) {
  if (secret === undefined) throw new ApiError('WEBHOOK_NOT_FOUND')
  return { id, secret, previous_expires_at: previousRetiresAt?.toISOString() ?? null }
}

async function ownEndpoint({ db }: Context, { accountId }: Caller, publicId: string): Promise<EndpointRow> {
  const id = fromTypeId('whe', publicId)
  if (!id) throw new ApiError('WEBHOOK_NOT_FOUND')
  const query = db.kysely
    .selectFrom('webhook_endpoints')
    .selectAll()
    .where('id', '=', id)
    .where('account_id', '=', accountId)
  return existing(await query.executeTakeFirst())
}

function existing(row: EndpointRow | undefined): EndpointRow {
  if (!row) throw new ApiError('WEBHOOK_NOT_FOUND')
  return row
}

function endpointOf(row: EndpointRow): Endpoint {
  return {
    id: toTypeId('whe', row.id),
    url: row.url,
    events: row.events,
    format: row.format,
    description: row.description,
    headers: row.headers,
    active: row.active,
    disabled_reason: row.disabled_reason,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  }
}

type EndpointRow = Selectable<EndpointTable>
