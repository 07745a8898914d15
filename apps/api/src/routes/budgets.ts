import type { Budget, BudgetThreshold, createBudget as budgetToBe } from '@millrace/contract/budget'
import { endpoints } from '@millrace/contract/endpoints'
import { databaseNow } from '@millrace/database/clock'
import { fromTypeId } from '@millrace/database/ids'
import * as rows from '@millrace/ledger/budgets'
import { asMicros } from '@millrace/ledger/micro'
import { type BudgetRow, presentBudget } from '@millrace/ledger/present-budget'
import type { z } from 'zod'
import { ApiError } from '../api-error.ts'
import { badParameter } from '../bad-parameter.ts'
import type { Context } from '../context.ts'
import { pageOf, paginationOf } from '../paging.ts'
import { route } from '../route.ts'

export const createBudget = route(endpoints.createBudget, async ({ context, caller, body }) => {
  const { name = '', period = 'month', hard_cap = null, thresholds = [] } = body
  checkThresholds(thresholds, hard_cap)
  const row = await rows.createBudget(context.db.pool, caller.accountId, {
    name,
    of: await scopeOf(context, caller.accountId, body),
    period,
    hardCap: hard_cap === null ? null : asMicros(hard_cap),
    thresholds,
  })
  if (!row) throw new ApiError('INVALID_PARAMETER', `An account has at most ${rows.mostBudgets} budgets.`)
  return shown(row)
})

export const listBudgets = route(endpoints.listBudgets, async ({ context, caller, query }) => {
  const page = pageOf(query, 'budget')
  const found = await rows.pageBudgets(context.db, caller.accountId, page)
  return { data: found.rows.map(shown), pagination: paginationOf(page, found, 'budget') }
})

export const getBudget = route(endpoints.getBudget, async ({ context, caller, params }) => {
  return shown(existing(await rows.findBudget(context.db, caller.accountId, idOf(params))))
})

export const patchBudget = route(endpoints.patchBudget, async ({ context, caller, params, body }) => {
  const id = idOf(params)
  const before = existing(await rows.findBudget(context.db, caller.accountId, id))
  const { name, hard_cap, thresholds } = body
  checkThresholds(thresholds ?? before.thresholds, hard_cap === undefined ? before.hard_cap : hard_cap)
  const row = await rows.changeBudget(context.db, caller.accountId, id, {
    name,
    thresholds,
    hardCap: typeof hard_cap === 'number' ? asMicros(hard_cap) : hard_cap,
  })
  return shown(existing(row))
})

export const deleteBudget = route(endpoints.deleteBudget, async ({ context, caller, params }) => {
  if (!(await rows.removeBudget(context.db, caller.accountId, idOf(params)))) throw notFound()
  return { id: params.id, deleted: true }
})

async function scopeOf(
  { db }: Context,
  accountId: string,
  { scope = 'account', key_id, tag }: z.infer<typeof budgetToBe>,
): Promise<rows.NewBudget['of']> {
  if (key_id !== undefined && scope !== 'key') throw badParameter('key_id', 'is only for the scope "key"')
  if (tag && scope !== 'tag') throw badParameter('tag', 'is only for the scope "tag"')
  if (scope === 'account') return { scope }
  if (scope === 'tag') {
    if (!tag) throw badParameter('tag', 'is required for the scope "tag"')
    return { scope, ...tag }
  }
  if (key_id === undefined) throw badParameter('key_id', 'is required for the scope "key"')
  const keyId = fromTypeId('key', key_id)
  const own = db.kysely.selectFrom('api_keys').select('id').where('account_id', '=', accountId)
  if (!keyId || !(await own.where('id', '=', keyId).executeTakeFirst())) throw new ApiError('KEY_NOT_FOUND')
  return { scope, keyIds: [keyId] }
}

function checkThresholds(thresholds: readonly BudgetThreshold[], hardCap: number | null): void {
  if (hardCap !== null) return
  const nth = thresholds.findIndex(({ percent }) => percent !== undefined)
  if (nth >= 0) throw badParameter(`thresholds.${nth}.percent`, 'needs a hard_cap, of which it is a part')
}

function idOf({ id: publicId }: { id: string }): string {
  const id = fromTypeId('budget', publicId)
  if (!id) throw notFound()
  return id
}

function existing(row: BudgetRow | undefined): BudgetRow {
  if (!row) throw notFound()
  return row
}

const notFound = () => new ApiError('BUDGET_NOT_FOUND')

const shown = (row: BudgetRow): Budget => presentBudget(row, new Date(databaseNow()))
