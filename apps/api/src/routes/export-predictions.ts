import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { endpoints } from '@millrace/contract/endpoints'
import { sanitise } from '@millrace/database/sanitise'
import { findPredictions } from '@millrace/lifecycle/find'
import { listIds } from '@millrace/lifecycle/list'
import type { ListFilter } from '@millrace/lifecycle/list-candidates'
import { present } from '@millrace/lifecycle/present'
import type { Context } from '../context.ts'
import { timeRange } from '../date-range.ts'
import { findModel } from '../draft-prediction.ts'
import { fewest, nextCount } from '../fitting-count.ts'
import { answered, route } from '../route.ts'
import { tagsOf } from './list-predictions.ts'

/**
 * Every prediction of a filter, whole, a line each: read page by page as the client takes them, so that no transaction is
 * open meanwhile and memory holds a part of a page.
 */
export const exportPredictions = route(
  endpoints.exportPredictions,
  async ({ context, caller, query, request, response }) => {
    const { from, to } = timeRange(query.from, query.to)
    if (query.model !== undefined) findModel(context, query.model)
    const filter = {
      accountId: caller.accountId,
      model: query.model,
      statuses: query.status && [query.status],
      tags: tagsOf(sanitise(request.query)),
      from,
      to,
    }
    // The first page before the answer begins: what is wrong by then has a status of its own.
    const lines = linesOf(context, filter)
    const first = await lines.next()
    response.status(200).set({ 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' })
    await pipeline(Readable.from(afterFirst(first, lines)), response).catch((error: unknown) => {
      if (!response.destroyed) throw error
    })
    return answered
  },
)

async function* linesOf(context: Context, filter: ListFilter): AsyncGenerator<string, void> {
  let count = fewest
  for (let after: string | undefined; ; ) {
    const ids = await listIds(context.db, filter, { size: atOnce, after })
    for (let at = 0; at < ids.length; ) {
      const some = ids.slice(at, at + count)
      const rows = await findPredictions(context.db, filter.accountId, some)
      let length = 0
      for (const row of rows.reverse()) {
        const line = `${JSON.stringify(present(row, context.links))}\n`
        length += line.length
        yield line
      }
      at += some.length
      count = nextCount({ length, made: rows.length, count }, atOnce)
    }
    if (ids.length < atOnce) return
    after = ids.at(-1)
  }
}

async function* afterFirst(
  first: IteratorResult<string, void>,
  rest: AsyncGenerator<string, void>,
): AsyncGenerator<string, void> {
  if (first.done) return
  yield first.value
  yield* rest
}

const atOnce = 200
