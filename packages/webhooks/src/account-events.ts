import { accountEventBody, bodyFormats, type EventData } from '@millrace/contract/webhook-body'
import { type AccountEventName, subscribes } from '@millrace/contract/webhook-events'
import type { Connection } from '@millrace/database/connect'
import { newIdAt } from '@millrace/database/ids'
import { type OutboxRows, type SubscribedEndpoint, writeDeliveries } from './write-deliveries.ts'

/**
 * Writes the deliveries that these events owe to the endpoints of their accounts, inside the transaction of what they
 * tell of: an event exists if and only if that was committed. Answers how many deliveries there are.
 */
export async function postAccountEvents(connection: Connection, events: AccountEvent[]): Promise<number> {
  if (events.length === 0) return 0
  const { rows } = await connection.query<EndpointRow>({
    name: 'endpoints-of-accounts',
    text: `select id, account_id, url, events, format, clock_timestamp() as now from webhook_endpoints
           where account_id = any($1::uuid[]) and active order by id`,
    values: [[...new Set(events.map(({ accountId }) => accountId))]],
  })
  const owed: OutboxRows = { bodies: [], deliveries: [] }
  for (const event of events) {
    const wanting = rows.filter(
      (row) => row.account_id === event.accountId && subscribes(row.events, event.name),
    )
    addEvent(owed, event, wanting)
  }
  await writeDeliveries(connection, owed)
  return owed.deliveries.length
}

/**
 * Each event is in the order of its own id, where events of predictions have their prediction's: none waits for another,
 * and dispatchers need not tell the two apart.
 */
function addEvent(owed: OutboxRows, { accountId, name, data }: AccountEvent, wanting: EndpointRow[]): void {
  const at = wanting[0]?.now
  if (at === undefined) return
  const eventId = newIdAt(at)
  for (const format of bodyFormats) {
    const targets = wanting.filter((endpoint) => endpoint.format === format)
    if (targets.length === 0) continue
    const bodyId = newIdAt(at)
    owed.bodies.push({ id: bodyId, body: accountEventBody(format, name, at, data) })
    for (const { id, url } of targets) {
      owed.deliveries.push({
        id: newIdAt(at),
        account_id: accountId,
        prediction_id: eventId,
        endpoint_id: id,
        url,
        host: new URL(url).host,
        event: name,
        seq: 1,
        body_id: bodyId,
        created_at: at.toISOString(),
      })
    }
  }
}

/** Something that happened to an account. */
export interface AccountEvent {
  accountId: string
  name: AccountEventName
  data: EventData
}

type EndpointRow = SubscribedEndpoint & { account_id: string; now: Date }
