import { endpoints } from '@millrace/contract/endpoints'
import { sanitise } from '@millrace/database/sanitise'
import { listPredictions as findPredictions } from '@millrace/lifecycle/list'
import { present } from '@millrace/lifecycle/present'
import { timeRange } from '../date-range.ts'
import { findModel } from '../draft-prediction.ts'
import { pageOf, paginationOf } from '../paging.ts'
import { route } from '../route.ts'

export const listPredictions = route(
  endpoints.listPredictions,
  async ({ context, caller, query, request }) => {
    const page = pageOf(query, 'pred')
    const { from, to } = timeRange(query.from, query.to)
    const model = query.model === undefined ? undefined : findModel(context, query.model)
    const found = await findPredictions(
      context.db,
      {
        accountId: caller.accountId,
        model: model?.namespace,
        aliases: model?.aliases ?? [],
        statuses: query.status && [query.status],
        tags: tagsOf(sanitise(request.query)),
        from,
        to,
      },
      page,
    )
    const data = found.rows.map(({ truncated, ...row }) => {
      const shown = present(row, context.links)
      if (truncated.length === 0) return shown
      const hidden = Object.fromEntries(truncated.map((name) => [name, null]))
      return { ...shown, ...hidden, metadata: { ...shown.metadata, truncated } }
    })
    return { data, pagination: paginationOf(page, found, 'pred') }
  },
)

/** `tag.NAME=value`, any number of times. */
export function tagsOf(query: Record<string, unknown>): Record<string, string> {
  const tags = Object.entries(query).flatMap(([name, value]) =>
    name.startsWith('tag.') ? [[name.slice(4), String([value].flat().at(-1))] as const] : [],
  )
  return Object.fromEntries(tags)
}
