import type { Database } from '@millrace/database/connect'
import { countCap, type Found, findPage, type Page } from '@millrace/database/page'
import type { EndpointTable } from '@millrace/database/tables'
import type { Selectable } from 'kysely'

/** A page of an account's webhook endpoints, newest first. */
export function pageEndpoints(
  db: Database,
  accountId: string,
  page: Page,
): Promise<Found<Selectable<EndpointTable>>> {
  const own = db.kysely.selectFrom('webhook_endpoints').where('account_id', '=', accountId)
  return findPage(
    page,
    ({ above, below, order, limit, offset }) =>
      own
        .selectAll()
        .where('id', '>', above)
        .where('id', '<', below)
        .orderBy('id', order)
        .limit(limit)
        .offset(offset)
        .execute(),
    async () =>
      (
        await own
          .select('id')
          .limit(countCap + 1)
          .execute()
      ).length,
  )
}
