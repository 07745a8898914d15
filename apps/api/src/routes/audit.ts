import { pageAudit, presentAct } from '@millrace/accounts/audit'
import { endpoints } from '@millrace/contract/endpoints'
import { fromTypeId, type IdPrefix, idFloor } from '@millrace/database/ids'
import { badParameter } from '../bad-parameter.ts'
import { timeRange } from '../date-range.ts'
import { pageOf, paginationOf } from '../paging.ts'
import { route } from '../route.ts'

export const listAudit = route(endpoints.listAudit, async ({ context, query }) => {
  const page = pageOf(query, 'audit')
  const { from, to } = timeRange(query.from, query.to)
  const filter = {
    above: from && idFloor(from.getTime()),
    below: to && idFloor(to.getTime()),
    act: query.act,
    accountId: idOf('acct', 'account', query.account),
    keyId: idOf('key', 'key', query.key),
    target: query.target,
  }
  const found = await pageAudit(context.db, filter, page)
  return { data: found.rows.map(presentAct), pagination: paginationOf(page, found, 'audit') }
})

function idOf(prefix: IdPrefix, name: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const id = fromTypeId(prefix, text)
  if (id === undefined) throw badParameter(name, `must be an id: ${prefix}_…`)
  return id
}
