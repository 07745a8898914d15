import { type BodyFormat, bodyFormats, maxBodyBytes, webhookBody } from '@millrace/contract/webhook-body'
import { type PredictionEventName, subscribes } from '@millrace/contract/webhook-events'
import type { Connection } from '@millrace/database/connect'
import { newIdAt } from '@millrace/database/ids'
import {
  type OutboxRows,
  type SubscribedEndpoint,
  writeDeliveries,
} from '@millrace/webhooks/write-deliveries'
import { type Links, type PredictionRow, present } from './present.ts'

/**
 * Writes the deliveries that these moves owe, inside the moves' own transaction: an event exists if and only if its
 * transition was committed. Each body is stored once per event and format, and deliveries point to it. Answers which
 * predictions owe one.
 */
export async function postEvents(connection: Connection, links: Links, moves: Moved[]): Promise<Set<string>> {
  const { bodies, deliveries } = outboxRows(links, moves)
  await writeDeliveries(connection, { bodies, deliveries })
  return new Set(deliveries.map((delivery) => delivery.prediction_id))
}

/** The same rows as data, for a statement that carries them itself (accept). */
export function outboxRows(links: Links, moves: Moved[]): OutboxRows {
  const rows: OutboxRows = { bodies: [], deliveries: [] }
  for (const move of moves) {
    if (move.event === null) continue
    const targets = targetsOf(move, move.event)
    for (const format of bodyFormats) {
      const wanting = targets.filter((target) => target.format === format)
      if (wanting.length > 0) addFormat(rows, links, move, move.event, format, wanting)
    }
  }
  return rows
}

function addFormat(
  rows: OutboxRows,
  links: Links,
  { row, seq }: Moved,
  event: PredictionEventName,
  format: BodyFormat,
  targets: Target[],
): void {
  const bodyId = newIdAt(row.updated_at)
  rows.bodies.push({
    id: bodyId,
    body: webhookBody(format, event, row.updated_at, present(row, links), row.oversized),
  })
  for (const target of targets) {
    rows.deliveries.push({
      id: newIdAt(row.updated_at),
      account_id: row.account_id,
      prediction_id: row.id,
      endpoint_id: target.endpointId,
      url: target.url,
      host: new URL(target.url).host,
      event,
      seq,
      body_id: bodyId,
      created_at: row.updated_at.toISOString(),
    })
  }
}

function targetsOf({ row, endpoints }: Moved, event: PredictionEventName): Target[] {
  const targets: Target[] = (endpoints ?? [])
    .filter(({ events }) => subscribes(events, event))
    .map(({ id, url, format }) => ({ endpointId: id, url, format }))
  if (row.webhook && subscribes(row.webhook.events, event)) {
    targets.push({ endpointId: null, url: row.webhook.url, format: 'prediction' })
  }
  return targets
}

/** A select-list item that reads the active endpoints of the account in `table` along with each moved row. */
export const endpointsOf = (table: string): string =>
  `(select json_agg(json_build_object('id', w.id, 'url', w.url, 'events', w.events, 'format', w.format))
    from webhook_endpoints w where w.account_id = ${table}.account_id and w.active) as endpoints`

/**
 * The columns of a moved row, for the select list. An input or output that makes every body fall back to thin is left
 * out and `oversized` set: hundreds of rows may end at once, each with megabytes that nobody would see.
 */
export const movedColumns = (table: string): string =>
  `${smallColumns.map((column) => `${table}.${column}`).join(', ')},
   case when octet_length(${table}.input::text) <= ${maxBodyBytes} then ${table}.input else '{}' end as input,
   case when octet_length(${table}.output::text) <= ${maxBodyBytes} then ${table}.output end as output,
   greatest(octet_length(${table}.input::text), octet_length(${table}.output::text)) > ${maxBodyBytes} as oversized`

const smallColumns = [
  'id',
  'account_id',
  'model',
  'model_type',
  'version',
  'status',
  'attempt',
  'stream',
  'source',
  'error',
  'error_id',
  'webhook',
  'tags',
  'files',
  'timeouts',
  'created_at',
  'updated_at',
  'started_at',
  'completed_at',
  'cancel_requested_at',
  'deleted_at',
  'expired_at',
  'priority',
  'run_at',
  'expires_in',
  'cold_boot',
  'served_by',
  'retention',
  'key_id',
  'held',
  'charged',
] as const satisfies (keyof PredictionRow)[]

/** One committed-to-be move: the row after it, its event's seq, and the account's endpoints. */
export interface Moved {
  row: MovedRow
  event: PredictionEventName | null
  seq: number
  endpoints: SubscribedEndpoint[] | null
}

/** A row after its move; without sealed secrets, and with large values left out where `oversized` says so. */
export type MovedRow = Omit<PredictionRow, 'sealed_input'> & {
  oversized?: boolean
  /** Webhooks wait to be sent. */
  owes?: boolean
}

interface Target {
  endpointId: string | null
  url: string
  format: BodyFormat
}

export type { OutboxRows, SubscribedEndpoint }
