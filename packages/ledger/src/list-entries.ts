import type { Database } from '@millrace/database/connect'
import { idFloor } from '@millrace/database/ids'
import { countCap, type Found, findPage, highestId, type Page, type Slice } from '@millrace/database/page'
import { sql } from 'kysely'
import type { LedgerEntry } from './move-credits.ts'

/** A page of the entries of an account, newest first: what it costs does not grow with the ledger or the depth. */
export async function listEntries(
  db: Database,
  filter: EntryFilter,
  page: Page,
): Promise<Found<LedgerEntry>> {
  return findPage(
    page,
    ({ above, below, order, limit, offset }) =>
      entriesOf(db, filter, { above, below }).orderBy('id', order).limit(limit).offset(offset).execute(),
    async () => {
      const some = entriesOf(db, filter, {})
        .clearSelect()
        .select('id')
        .limit(countCap + 1)
      const { total } = await db.kysely
        .selectFrom(some.as('some'))
        .select(sql<number>`count(*)`.as('total'))
        .executeTakeFirstOrThrow()
      return total
    },
  )
}

/** All of them, newest first, `atOnce` at a time: no statement stays open in between. */
export async function* readEntries(
  db: Database,
  filter: EntryFilter,
  atOnce = 500,
): AsyncGenerator<LedgerEntry[], void> {
  for (let below = highestId; ; ) {
    const entries = await entriesOf(db, filter, { below }).orderBy('id', 'desc').limit(atOnce).execute()
    if (entries.length > 0) yield entries
    const last = entries.at(-1)
    if (last === undefined || entries.length < atOnce) return
    below = last.id
  }
}

function entriesOf(
  db: Database,
  filter: EntryFilter,
  { above, below }: Partial<Pick<Slice, 'above' | 'below'>>,
) {
  const { accountId, kind, predictionId, from, to } = filter
  let query = db.kysely.selectFrom('ledger_entries').selectAll().where('account_id', '=', accountId)
  // Ids rise with time.
  const lowest = from && idFloor(from.getTime())
  const end = to && idFloor(to.getTime())
  if (lowest !== undefined) query = query.where('id', '>=', lowest)
  if (end !== undefined) query = query.where('id', '<', end)
  if (above !== undefined) query = query.where('id', '>', above)
  if (below !== undefined) query = query.where('id', '<', below)
  if (kind !== undefined) query = query.where('kind', '=', kind)
  if (predictionId !== undefined) query = query.where('prediction_id', '=', predictionId)
  return query
}

/** Which entries: `from` on, before `to`. */
export interface EntryFilter {
  accountId: string
  kind?: LedgerEntry['kind'] | undefined
  predictionId?: string | undefined
  from?: Date | undefined
  to?: Date | undefined
}
