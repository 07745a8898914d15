import type { BodyFormat } from '@millrace/contract/webhook-body'
import type { Connection } from '@millrace/database/connect'

/**
 * Writes what is owed to receivers, inside the transaction of what it tells of. Each body is stored once per event and
 * format, and deliveries point to it.
 */
export async function writeDeliveries(
  connection: Connection,
  { bodies, deliveries }: OutboxRows,
): Promise<void> {
  if (deliveries.length === 0) return
  const values = [JSON.stringify(bodies), JSON.stringify(deliveries)]
  await connection.query({ name: 'write-deliveries', text: statement, values })
}

const statement = `
  with bodies as (
    insert into webhook_bodies (id, body) select id, body from json_to_recordset($1) as b(id uuid, body text)
  )
  insert into deliveries (id, account_id, prediction_id, endpoint_id, url, host, event, seq, body_id, due_at, created_at)
  select id, account_id, prediction_id, endpoint_id, url, host, event, seq, body_id, clock_timestamp(), created_at
  from json_to_recordset($2) as d(id uuid, account_id uuid, prediction_id uuid, endpoint_id uuid, url text, host text,
                                  event text, seq integer, body_id uuid, created_at timestamptz)`

/** An active endpoint of an account, and what it is to be sent. */
export interface SubscribedEndpoint {
  id: string
  url: string
  events: string[]
  format: BodyFormat
}

/** Rows to be, for one statement. */
export interface OutboxRows {
  bodies: { id: string; body: string }[]
  deliveries: {
    id: string
    account_id: string
    /** What it is in the order of: a prediction, or the event of an account itself. */
    prediction_id: string
    endpoint_id: string | null
    url: string
    host: string
    event: string
    seq: number
    body_id: string
    created_at: string
  }[]
}
