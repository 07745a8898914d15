import type { Selectable, SelectQueryBuilder } from 'kysely'
import type { Tables } from './tables.ts'

/**
 * One page of rows by id, newest first, whichever way it is asked for: by offset, or right after or before an id.
 * `read` fetches a slice; `count` tells the total, and may stop past `countCap`.
 */
export async function findPage<Row extends { id: string }>(
  page: Page,
  read: (slice: Slice) => Promise<Row[]>,
  count: () => Promise<number>,
): Promise<Found<Row>> {
  const newestFirst = page.before === undefined
  const slice = {
    above: page.before ?? lowestId,
    below: page.after ?? highestId,
    order: newestFirst ? ('desc' as const) : ('asc' as const),
    limit: page.size + 1,
    offset: page.offset ?? 0,
  }
  const [rows, total] = await Promise.all([read(slice), count()])
  const another = rows.length > page.size
  const shown = rows.slice(0, page.size)
  return {
    rows: newestFirst ? shown : shown.reverse(),
    total: Math.min(total, countCap),
    capped: total > countCap,
    older: newestFirst ? another : true,
    newer: newestFirst ? page.after !== undefined || slice.offset > 0 : another,
  }
}

/** A page of the rows of a query, whole, by their ids. */
export async function pageRows<T extends PagedTable>(
  query: SelectQueryBuilder<Tables, T, object>,
  page: Page,
): Promise<Found<Selectable<Tables[T]>>> {
  // Of all these tables nothing but the id is named here, and it is the same in each.
  const own = query as unknown as SelectQueryBuilder<Tables, 'files', object>
  const found = await findPage(
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
  return found as unknown as Found<Selectable<Tables[T]>>
}

type PagedTable = 'files' | 'webhook_endpoints' | 'budgets' | 'audit_log'

/** Totals are exact up to here. */
export const countCap = 10_000

export const lowestId = '00000000-0000-0000-0000-000000000000'
export const highestId = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

/** Which page: `size` rows from `offset`, or right `after` (older) or `before` (newer) an id. */
export interface Page {
  size: number
  offset?: number
  after?: string
  before?: string
}

/** What to read: ids strictly between `above` and `below`, in this order. */
export interface Slice {
  above: string
  below: string
  order: 'asc' | 'desc'
  limit: number
  offset: number
}

/** A page: its rows, whether there are older and newer ones, and the total up to 10,000. */
export interface Found<Row> {
  rows: Row[]
  total: number
  capped: boolean
  older: boolean
  newer: boolean
}
