import { isTerminal, type Status } from '@millrace/contract/statuses'
import { fromTypeId, idFloor, timeOfId } from '@millrace/database/ids'
import type { RequestSurface } from '@millrace/database/tables'
import { type RawBuilder, sql } from 'kysely'
import { callModel } from './ended.ts'

/**
 * Where to look for what a filter asks for: predictions, those that were deleted, and calls; each once for every slug of
 * the model. `ids` is a select by the narrowest index of those that tell something of it; what it does not tell `keeps`
 * asks of the row.
 */
export function sourcesOf(filter: ActivityFilter): Source[] {
  const slugs = filter.models ?? [undefined]
  const { type } = filter
  const predictions = type === undefined || type === 'prediction'
  const calls = type !== 'prediction' && Object.keys(filter.tags).length === 0
  return slugs.flatMap((model) => [
    ...(predictions ? [predictionSource(filter, model), removedSource(filter, model)] : []),
    ...(calls ? callSources(filter, model) : []),
  ])
}

function predictionSource(filter: ActivityFilter, model: string | undefined): Source {
  const { accountId, status, keyId, requestId, tags } = filter
  const account = sql`account_id = ${accountId}::uuid`
  const [tag] = Object.entries(tags)
  const from = (): RawBuilder<unknown> => {
    const predictions = sql`select id from predictions where ${account}`
    if (requestId !== undefined && !isOurs(requestId))
      return sql`${predictions} and request_id = ${requestId} and request_id not like 'req\\_%'`
    if (tag)
      return sql`select prediction_id as id from prediction_tags where ${account} and name = ${tag[0]} and value = ${tag[1]}`
    if (status && !isTerminal(status)) return sql`select prediction_id as id from runs where ${account}`
    if (status && (status !== 'succeeded' || keyId === undefined))
      return sql`select prediction_id as id from outcomes where ${account} and status = ${status} ${andModel(model)}`
    if (keyId !== undefined) return sql`${predictions} and key_id = ${keyId}::uuid`
    return sql`${predictions} ${andModel(model)}`
  }
  const others = Object.entries(tags).map(
    ([name, value]) =>
      sql` and exists (select from prediction_tags t where t.account_id = ${accountId}::uuid and t.name = ${name} and t.value = ${value} and t.prediction_id = p.id)`,
  )
  return {
    kind: 'prediction',
    ids: from(),
    keeps: (
      within,
    ) => sql`exists (select from predictions p where p.id = seen.id and ${within} and p.deleted_at is null ${common({ ...filter, model })}
      ${status === undefined ? sql`` : sql`and p.status = ${status}`} ${others.length > 0 ? sql.join(others, sql` `) : sql``} offset 0)`,
    ...boundsOf(filter),
  }
}

function removedSource(filter: ActivityFilter, model: string | undefined): Source {
  const { accountId, status, tags } = filter
  const tagged = Object.entries(tags).map(([name, value]) => sql` and p.tags ->> ${name}::text = ${value}`)
  return {
    kind: 'prediction',
    ids: sql`select id from removed_predictions where account_id = ${accountId}::uuid`,
    keeps:
      () => sql`exists (select from removed_predictions p where p.id = seen.id ${common({ ...filter, model })}
      ${status === undefined ? sql`` : sql`and p.status = ${status}`} ${tagged.length > 0 ? sql.join(tagged, sql` `) : sql``} offset 0)`,
    ...boundsOf(filter),
  }
}

/** One for each status of a call that the one that is asked for stands for. */
function callSources(filter: ActivityFilter, model: string | undefined): Source[] {
  const { accountId, status, keyId, requestId, type } = filter
  const calls = sql`select id from requests where account_id = ${accountId}::uuid`
  const also = sql`${keyId === undefined ? sql`` : sql`and p.key_id = ${keyId}::uuid`}
    ${requestId === undefined ? sql`` : sql`and p.request_id = ${requestId}`}
    ${type === undefined ? sql`` : sql`and p.surface = ${type}`}
    ${model === undefined ? sql`` : sql`and ${sql.raw(callModel)} = ${model}`}`
  const keeps =
    (own: string | undefined): Source['keeps'] =>
    (within) =>
      sql`exists (select from requests p where p.id = seen.id and ${within} ${also} ${own === undefined ? sql`` : sql`and p.status = ${own}`} offset 0)`
  const source = (ids: RawBuilder<unknown>, own?: string): Source => ({
    kind: 'call',
    ids,
    keeps: keeps(own),
    ...boundsOf(filter),
  })
  const own: readonly string[] | undefined = status && callStatuses[status]
  if (requestId !== undefined && !isOurs(requestId)) {
    const ids = sql`${calls} and request_id = ${requestId} and request_id not like 'req\\_%'`
    return own ? own.map((one) => source(ids, one)) : [source(ids)]
  }
  if (own?.includes('running'))
    return [
      source(
        sql`select id from requests where status = 'running' and account_id = ${accountId}::uuid`,
        'running',
      ),
    ]
  if (own && (status !== 'succeeded' || (keyId === undefined && model === undefined)))
    return own.map((one) => source(sql`${calls} and status = ${one} and status <> 'running'`, one))
  const ids =
    keyId !== undefined
      ? sql`${calls} and key_id = ${keyId}::uuid`
      : model !== undefined
        ? sql`${calls} and ${sql.raw(callModel)} = ${model}`
        : calls
  return own ? own.map((one) => source(ids, one)) : [source(ids)]
}

const andModel = (model: string | undefined): RawBuilder<unknown> =>
  model === undefined ? sql`` : sql`and model = ${model}`

function common({ model, keyId, requestId }: ActivityFilter & { model: string | undefined }) {
  return sql`${model === undefined ? sql`` : sql`and p.model = ${model}`}
    ${keyId === undefined ? sql`` : sql`and p.key_id = ${keyId}::uuid`}
    ${requestId === undefined ? sql`` : sql`and p.request_id = ${requestId}`}`
}

/** Ids strictly between these. What a request with an id of ours asked for was made within moments of it. */
function boundsOf({ from, to, requestId }: ActivityFilter): { above?: string; below?: string } {
  const id = requestId === undefined ? undefined : fromTypeId('req', requestId)
  const asked = id === undefined ? undefined : timeOfId(id)
  const floors = [from?.getTime(), asked === undefined ? undefined : asked - 1_000]
  const ceilings = [to?.getTime(), asked === undefined ? undefined : asked + longestCreateMs]
  const low = Math.max(...floors.map((time) => time ?? 0))
  const high = Math.min(...ceilings.map((time) => time ?? Number.POSITIVE_INFINITY))
  return {
    ...(low > 0 ? { above: idFloor(low) } : {}),
    ...(high < Number.POSITIVE_INFINITY ? { below: idFloor(high) } : {}),
  }
}

/** Whether an id of a request looks like those that the service gives. */
const isOurs = (requestId: string): boolean => requestId.startsWith('req_')

/** From the begin of a request until what it asks for is made: its body may come slowly. */
const longestCreateMs = 300_000

/** The statuses of calls, in the words of predictions. */
const callStatuses: Readonly<Record<Status, readonly string[]>> = {
  pending: [],
  starting: [],
  processing: ['running'],
  succeeded: ['succeeded'],
  failed: ['failed', 'timeout'],
  cancelled: ['cancelled'],
}

/** What of the activity is asked for. `to` is exclusive. */
export interface ActivityFilter {
  accountId: string
  from?: Date | undefined
  to?: Date | undefined
  /** The slugs of one model. */
  models?: readonly string[] | undefined
  keyId?: string | undefined
  status?: Status | undefined
  type?: 'prediction' | RequestSurface | undefined
  requestId?: string | undefined
  tags: Readonly<Record<string, string>>
}

/** See `sourcesOf`. */
export interface Source {
  kind: 'prediction' | 'call'
  /** A select of `id`, which a condition on `id` is added to. */
  ids: RawBuilder<unknown>
  /** A condition on `seen.id`; `within` says of its row, `p`, between which ids that is, so that few partitions come into question. */
  keeps: (within: RawBuilder<unknown>) => RawBuilder<unknown>
  above?: string
  below?: string
}
