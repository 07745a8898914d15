import { z } from 'zod'
import { budget, budgetDeleted, budgetList, createBudget, patchBudget } from '../budget.ts'
import type { EndpointDefinition } from '../endpoint.ts'
import { pageQuery } from '../lists.ts'

const budgetId = z.object({ id: z.string().describe('budget_…') })

/** What an account lets itself spend. */
export const budgetEndpoints = {
  createBudget: {
    method: 'post',
    path: '/v1/budgets',
    tag: 'Billing',
    summary: 'Create a budget',
    description:
      'From now on it counts what is charged for the account, one key or one tag, and what is held meanwhile. Beyond its hard cap requests are refused with BUDGET_EXCEEDED; at its thresholds endpoints are sent `budget.threshold`.',
    scope: 'keys:write',
    body: createBudget,
    example: { period: 'month', hard_cap: 100, thresholds: [{ percent: 80 }] },
    errors: ['INVALID_PARAMETER', 'KEY_NOT_FOUND'],
    replies: { 201: { description: 'The budget', schema: budget } },
  },
  listBudgets: {
    method: 'get',
    path: '/v1/budgets',
    tag: 'Billing',
    summary: 'List budgets',
    description: 'Page by page or by cursor, each with what it has counted in this period.',
    scope: 'usage:read',
    query: pageQuery,
    errors: ['INVALID_PARAMETER', 'INVALID_PARAMETER_COMBINATION'],
    replies: { 200: { description: 'Budgets, newest first', schema: budgetList } },
  },
  getBudget: {
    method: 'get',
    path: '/v1/budgets/{id}',
    tag: 'Billing',
    summary: 'Get a budget',
    description: 'With what it has counted in this period.',
    scope: 'usage:read',
    params: budgetId,
    errors: ['BUDGET_NOT_FOUND'],
    replies: { 200: { description: 'The budget', schema: budget } },
  },
  patchBudget: {
    method: 'patch',
    path: '/v1/budgets/{id}',
    tag: 'Billing',
    summary: 'Change a budget',
    description:
      'What is left out stays. What it counts, and in what time, cannot be changed: make another one.',
    scope: 'keys:write',
    params: budgetId,
    body: patchBudget,
    example: { hard_cap: 200 },
    errors: ['BUDGET_NOT_FOUND', 'INVALID_PARAMETER'],
    replies: { 200: { description: 'The budget', schema: budget } },
  },
  deleteBudget: {
    method: 'delete',
    path: '/v1/budgets/{id}',
    tag: 'Billing',
    summary: 'Delete a budget',
    description: 'It counts and refuses nothing any more.',
    scope: 'keys:write',
    params: budgetId,
    errors: ['BUDGET_NOT_FOUND'],
    replies: { 200: { description: 'It is gone', schema: budgetDeleted } },
  },
} as const satisfies Record<string, EndpointDefinition>
