import { z } from 'zod'
import { pagination } from './lists.ts'
import { time } from './prediction.ts'

/** In what time a budget counts; by the calendar of UTC, weeks from Monday. `total` never begins anew. */
export const budgetPeriods = ['day', 'week', 'month', 'total'] as const

/** What a budget counts. */
export const budgetScopes = ['account', 'key', 'tag'] as const

const credits = z.number().min(0).max(1_000_000_000)

const threshold = z
  .object({
    percent: z.int().min(1).max(100).optional().describe('Of the hard cap'),
    credits: credits.positive().optional().describe('Or credits'),
  })
  .refine(({ percent, credits }) => (percent === undefined) !== (credits === undefined), {
    message: 'must have either percent or credits',
  })
  .meta({
    id: 'BudgetThreshold',
    description: 'When to be told: at a percentage of the hard cap, or at credits',
  })

const tag = z
  .object({
    name: z
      .string()
      .regex(
        /^[\w.-]{1,64}$/,
        'is no name of a tag, which has 1 to 64 letters, digits, dots, dashes or underscores',
      )
      .describe('Its name'),
    value: z.string().max(256).describe('Its value'),
  })
  .meta({ id: 'BudgetTag', description: 'A tag of predictions' })

const changeable = {
  name: z.string().max(200).optional().describe('A note of your own'),
  hard_cap: credits
    .nullable()
    .optional()
    .describe('Credits beyond which requests are refused; null: none are'),
  thresholds: z
    .array(threshold)
    .max(20)
    .optional()
    .describe('When `budget.threshold` is sent, each once in a period'),
}

/** What a key may spend in a period. */
export const creditLimit = z
  .object({
    credits: credits.describe('That it may spend in a period'),
    period: z.enum(budgetPeriods).describe('In what time, by the calendar of UTC'),
  })
  .meta({ id: 'CreditLimit', description: 'What a key may spend: a budget of its own' })

/** The body of `POST /v1/budgets`. */
export const createBudget = z
  .object({
    ...changeable,
    scope: z.enum(budgetScopes).optional().describe('What it counts; all of the account unless told'),
    key_id: z.string().max(64).optional().describe('key_…, for the scope `key`'),
    tag: tag.optional().describe('For the scope `tag`'),
    period: z.enum(budgetPeriods).optional().describe('In what time; a month unless told'),
  })
  .meta({ id: 'CreateBudget', description: 'A budget to be' })

/** The body of `PATCH /v1/budgets/{id}`: what is left out stays. */
export const patchBudget = z
  .object(changeable)
  .meta({ id: 'PatchBudget', description: 'What is to change of a budget; what is left out stays' })

export const budget = z
  .object({
    id: z.string().describe('budget_…'),
    name: z.string().describe('A note of your own'),
    scope: z.enum(budgetScopes).describe('What it counts'),
    key_id: z.string().nullable().describe('key_…, of the scope `key`'),
    tag: tag.nullable().describe('Of the scope `tag`'),
    period: z.enum(budgetPeriods).describe('In what time'),
    hard_cap: z.number().nullable().describe('Credits beyond which requests are refused'),
    thresholds: z.array(threshold).describe('When `budget.threshold` is sent'),
    credit_limit: z.boolean().describe('It is the credit limit of its key'),
    spent: z.number().describe('Credits that were charged for what was asked for in this period'),
    held: z.number().describe('Credits that are set aside for what is under way'),
    remaining: z.number().nullable().describe('Credits that may still be asked for; null without a hard cap'),
    period_start: time.nullable().describe('When this period began; null where it is `total`'),
    resets_at: time.nullable().describe('When the next one begins; null where it is `total`'),
    created_at: time.describe('When it was made: it counts from then'),
    updated_at: time.describe('When it was changed last'),
  })
  .meta({ id: 'Budget', description: 'What may be spent in a time, and what was' })

export const budgetList = z
  .object({ data: z.array(budget).describe('Newest first'), pagination })
  .meta({ id: 'BudgetList', description: 'A page of budgets' })

export const budgetDeleted = z
  .object({ id: z.string().describe('budget_…'), deleted: z.literal(true).describe('It is gone') })
  .meta({ id: 'BudgetDeleted', description: 'A budget that is gone' })

export type Budget = z.infer<typeof budget>
export type BudgetPeriod = (typeof budgetPeriods)[number]
export type BudgetScope = (typeof budgetScopes)[number]
export type CreditLimit = z.infer<typeof creditLimit>
export type BudgetThreshold = z.infer<typeof threshold>
