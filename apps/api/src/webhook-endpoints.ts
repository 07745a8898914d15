import type { Database } from '@millrace/database/connect'
import { type Found, type Page, pageRows } from '@millrace/database/page'
import type { EndpointTable } from '@millrace/database/tables'
import type { Selectable } from 'kysely'

/** A page of an account's webhook endpoints, newest first. */
export function pageEndpoints(
  db: Database,
  accountId: string,
  page: Page,
): Promise<Found<Selectable<EndpointTable>>> {
  const own = db.kysely.selectFrom('webhook_endpoints').where('account_id', '=', accountId)
  return pageRows(own, page)
}
