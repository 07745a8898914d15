import { type Actor, changesOf, noteAct } from '@millrace/accounts/audit'
import type { Connection } from '@millrace/database/connect'
import { toTypeId } from '@millrace/database/ids'
import type { EndpointTable } from '@millrace/database/tables'
import type { Selectable } from 'kysely'

/** Puts what was done to a webhook endpoint on the audit log, in the transaction that does it. */
export async function noteWebhook(
  connection: Connection,
  actor: Actor,
  { was, is }: { was?: EndpointRow | undefined; is?: EndpointRow | undefined },
): Promise<void> {
  const row = is ?? was
  if (!row) return
  const done = was === undefined ? 'create' : is === undefined ? 'delete' : 'change'
  const changes = was && is ? changesOf(shown(was), shown(is)) : is && { after: shown(is) }
  await noteAct(connection, actor, {
    act: `webhook.${done}`,
    target: toTypeId('whe', row.id),
    accountId: row.account_id,
    ...changes,
  })
}

/** Paths of some receivers are secrets, and so are the values of headers. */
function shown({ url, events, format, active, headers }: EndpointRow) {
  return { origin: new URL(url).origin, events, format, active, headers: Object.keys(headers) }
}

type EndpointRow = Selectable<EndpointTable>
