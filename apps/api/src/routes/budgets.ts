import { changesOf, noteAct } from '@millrace/accounts/audit'
import type { Budget, BudgetThreshold, createBudget as budgetToBe } from '@millrace/contract/budget'
import { endpoints } from '@millrace/contract/endpoints'
import { databaseNow } from '@millrace/database/clock'
import { type Connection, transaction } from '@millrace/database/connect'
import { fromTypeId, toTypeId } from '@millrace/database/ids'
import * as rows from '@millrace/ledger/budgets'
import { asMicros } from '@millrace/ledger/micro'
import { type BudgetRow, presentBudget } from '@millrace/ledger/present-budget'
import type { z } from 'zod'
import { actorOf } from '../actor-of.ts'
import { ApiError } from '../api-error.ts'
import { badParameter } from '../bad-parameter.ts'
import type { Context } from '../context.ts'
import { pageOf, paginationOf } from '../paging.ts'
import { type Incoming, route } from '../route.ts'

export const createBudget = route(endpoints.createBudget, async (incoming) => {
  const { context, caller, body } = incoming
  const { name = '', period = 'month', hard_cap = null, thresholds = [] } = body
  checkThresholds(thresholds, hard_cap)
  const budget = {
    name,
    of: await scopeOf(context, caller.accountId, body),
    period,
    hardCap: hard_cap === null ? null : asMicros(hard_cap),
    thresholds,
  }
  return noted(incoming, 'budget.create', async (client) => {
    const row = await rows.createBudget(client, caller.accountId, budget)
    if (!row) throw new ApiError('INVALID_PARAMETER', `An account has at most ${rows.mostBudgets} budgets.`)
    return { row, after: stated(row) }
  })
})

export const listBudgets = route(endpoints.listBudgets, async ({ context, caller, query }) => {
  const page = pageOf(query, 'budget')
  const found = await rows.pageBudgets(context.db, caller.accountId, page)
  return { data: found.rows.map(shown), pagination: paginationOf(page, found, 'budget') }
})

export const getBudget = route(endpoints.getBudget, async ({ context, caller, params }) => {
  return shown(existing(await rows.findBudget(context.db, caller.accountId, idOf(params))))
})

export const patchBudget = route(endpoints.patchBudget, async (incoming) => {
  const { caller, params, body } = incoming
  const id = idOf(params)
  const { name, hard_cap, thresholds } = body
  const change = {
    name,
    thresholds,
    hardCap: typeof hard_cap === 'number' ? asMicros(hard_cap) : hard_cap,
  }
  return noted(incoming, 'budget.change', async (client) => {
    const was = own(await rows.lockBudget(client, caller.accountId, id))
    checkThresholds(thresholds ?? was.thresholds, hard_cap === undefined ? was.hard_cap : hard_cap)
    const row = existing(await rows.changeBudget(client, caller.accountId, id, change))
    return { row, ...changesOf(stated(was), stated(row)) }
  })
})

export const deleteBudget = route(endpoints.deleteBudget, async (incoming) => {
  const { caller, params } = incoming
  await noted(incoming, 'budget.delete', async (client) => {
    const row = own(await rows.removeBudget(client, caller.accountId, idOf(params)))
    return { row, before: stated(row) }
  })
  return { id: params.id, deleted: true }
})

/** Does something to a budget and notes it in the audit log, in one transaction. */
function noted(
  {
    context,
    caller,
    request,
    response,
  }: Pick<Incoming<never>, 'context' | 'caller' | 'request' | 'response'>,
  act: string,
  work: (client: Connection) => Promise<{ row: BudgetRow; before?: object; after?: object }>,
): Promise<Budget> {
  return transaction(context.db, async (client) => {
    const { row, ...changes } = await work(client)
    const target = toTypeId('budget', row.id)
    const { accountId } = caller
    await noteAct(client, actorOf({ caller, request, response }), { act, target, accountId, ...changes })
    return shown(row)
  })
}

/** What somebody has said of it. */
function stated(row: BudgetRow): object {
  const { name, scope, key_id, tag, period, hard_cap, thresholds } = shown(row)
  return { name, scope, key_id, tag, period, hard_cap, thresholds }
}

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

/** The credit limit of a key is a budget, too, and no less a bound of the key than its scopes: it changes with it. */
function own(row: BudgetRow | undefined): BudgetRow {
  const budget = existing(row)
  if (budget.credit_limit)
    throw badParameter('id', 'is the credit limit of a key: change it by PATCH /v1/keys/{id}')
  return budget
}

const notFound = () => new ApiError('BUDGET_NOT_FOUND')

const shown = (row: BudgetRow): Budget => presentBudget(row, new Date(databaseNow()))
