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
import { type Connection, transaction } from '@millrace/database/connect'
import { fromTypeId, newId, toTypeId } from '@millrace/database/ids'
import type { EndpointTable } from '@millrace/database/tables'
import type { Selectable } from 'kysely'
import { actorOf } from '../actor-of.ts'
import { ApiError } from '../api-error.ts'
import { checkEvents, checkWebhookUrl } from '../check-webhook.ts'
import type { Context } from '../context.ts'
import { noteWebhook } from '../note-webhook.ts'
import { pageOf, paginationOf } from '../paging.ts'
import { route } from '../route.ts'
import { pageEndpoints } from '../webhook-endpoints.ts'

export const createWebhook = route(endpoints.createWebhook, async (incoming) => {
  const { context, caller, body } = incoming
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
    await noteWebhook(client, actorOf(incoming), { is: rows[0] })
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
  return endpointOf(await ownEndpoint(context.db.pool, caller, params.id))
})

export const patchWebhook = route(endpoints.patchWebhook, async (incoming) => {
  const { context, caller, params, body } = incoming
  await ownEndpoint(context.db.pool, caller, params.id)
  if (body.events) checkEvents(body.events, 'events', { all: true })
  if (body.url !== undefined) await checkWebhookUrl(context.guard, body.url, 'url')
  const { url, events, format, description, headers, active } = body
  const row = await transaction(context.db, async (client) => {
    const was = await ownEndpoint(client, caller, params.id, { lock: true })
    const { rows } = await client.query<EndpointRow>(
      `update webhook_endpoints set updated_at = clock_timestamp(), url = coalesce($2, url), events = coalesce($3, events),
         format = coalesce($4, format), description = coalesce($5, description), headers = coalesce($6::json, headers),
         active = coalesce($7, active), disabled_reason = case when $7 then null else disabled_reason end,
         failing_since = case when $7 then null else failing_since end
       where id = $1 returning *`,
      [was.id, url, events, format, description, headers && JSON.stringify(headers), active],
    )
    await noteWebhook(client, actorOf(incoming), { was, is: rows[0] })
    return rows[0]
  })
  return endpointOf(existing(row))
})

export const deleteWebhook = route(endpoints.deleteWebhook, async (incoming) => {
  const { context, caller, params } = incoming
  await transaction(context.db, async (client) => {
    const was = await ownEndpoint(client, caller, params.id, { lock: true })
    await client.query('delete from webhook_endpoints where id = $1', [was.id])
    await noteWebhook(client, actorOf(incoming), { was })
  })
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
  const endpointId = id === 'default' ? null : (await ownEndpoint(context.db.pool, caller, id)).id
  return { accountId: caller.accountId, endpointId }
}

function secretOf(id: string, { secrets: [secret], previousRetiresAt }: Secrets) {
  if (secret === undefined) throw new ApiError('WEBHOOK_NOT_FOUND')
  return { id, secret, previous_expires_at: previousRetiresAt?.toISOString() ?? null }
}

/** With `lock` nobody else changes it until the transaction is over. Throws WEBHOOK_NOT_FOUND. */
async function ownEndpoint(
  connection: Connection,
  { accountId }: Caller,
  publicId: string,
  { lock = false } = {},
): Promise<EndpointRow> {
  const id = fromTypeId('whe', publicId)
  if (!id) throw new ApiError('WEBHOOK_NOT_FOUND')
  const { rows } = await connection.query<EndpointRow>(
    `select * from webhook_endpoints where id = $1 and account_id = $2 ${lock ? 'for update' : ''}`,
    [id, accountId],
  )
  return existing(rows[0])
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
