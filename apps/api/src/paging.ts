import type { PageQuery, Pagination } from '@millrace/contract/lists'
import { fromTypeId, type IdPrefix, toTypeId } from '@millrace/database/ids'
import { countCap, type Found, type Page } from '@millrace/database/page'
import { ApiError } from './api-error.ts'
import { badParameter } from './bad-parameter.ts'

/** The page that a list's query asks for. Throws INVALID_PARAMETER and INVALID_PARAMETER_COMBINATION. */
export function pageOf({ per_page = 15, page, cursor }: PageQuery, prefix: IdPrefix): Page {
  if (page !== undefined && cursor !== undefined)
    throw new ApiError('INVALID_PARAMETER_COMBINATION', 'Send either page or cursor, not both.')
  if (cursor === undefined) {
    const offset = ((page ?? 1) - 1) * per_page
    if (offset >= countCap) {
      throw badParameter(
        'page',
        `reaches at most ${countCap} rows deep; follow pagination.next_cursor with cursor=`,
      )
    }
    return { size: per_page, offset }
  }
  const [direction, publicId = ''] = Buffer.from(cursor, 'base64url').toString('utf8').split(':')
  const id = fromTypeId(prefix, publicId)
  if (!id || (direction !== 'after' && direction !== 'before')) {
    throw badParameter('cursor', 'is not one of ours; use next_cursor or prev_cursor of a list')
  }
  return { size: per_page, [direction]: id }
}

/** The pagination block of a found page. */
export function paginationOf(page: Page, found: Found<{ id: string }>, prefix: IdPrefix): Pagination {
  const [first] = found.rows
  const last = found.rows.at(-1)
  return {
    current_page: page.offset === undefined ? 1 : page.offset / page.size + 1,
    per_page: page.size,
    total: found.total,
    last_page: Math.max(1, Math.ceil(found.total / page.size)),
    next_cursor: found.older && last ? cursorOf('after', toTypeId(prefix, last.id)) : null,
    prev_cursor: found.newer && first ? cursorOf('before', toTypeId(prefix, first.id)) : null,
    ...(found.capped ? { total_capped: true } : {}),
  }
}

/** The text that stands for a place in a list. */
export function cursorOf(direction: 'after' | 'before', publicId: string): string {
  return Buffer.from(`${direction}:${publicId}`).toString('base64url')
}
