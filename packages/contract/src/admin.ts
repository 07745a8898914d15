import { z } from 'zod'
import { pageQuery, pagination } from './lists.ts'
import { overLimit, planSettings, statedSettings } from './plan.ts'
import { time } from './prediction.ts'

const days = z
  .number()
  .min(0.01, 'must be at least 0.01 days')
  .max(365_000, 'must be at most 365000 days')
  .nullable()

const accountName = z.string().trim().min(1).max(200).describe('What it is called; no other account is')
const planName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'must be small letters, digits, - and _, 64 at most')
  .describe('The name of a plan')

const retention = z
  .object({
    files_days: days.optional().describe('Days that its files are kept at most; null for as long as all are'),
    data_days: days
      .optional()
      .describe('Days that inputs, outputs and logs are kept at most; null for as long as all are'),
  })
  .describe('For how long what it makes from now on is kept at most')

const accountFields = {
  plan: planName.optional().describe('The name of its plan; `free` for a new account unless told'),
  weight: z
    .number()
    .min(0.001)
    .max(1000)
    .optional()
    .describe('Its share of the turns of a model; 1 unless told'),
  over_limit: overLimit
    .nullish()
    .describe('What happens to predictions beyond those that may run at a time; null for as its plan says'),
  suspended: z.boolean().optional().describe('Whether its keys are refused'),
  retention: retention.optional(),
}

/** The body of `POST /v1/admin/accounts`. */
export const createAccount = z
  .object({ name: accountName, ...accountFields })
  .meta({ id: 'CreateAccount', description: 'An account to be' })

/** The body of `PATCH /v1/admin/accounts/{id}`: what is left out stays. */
export const patchAccount = z
  .object({ name: accountName.optional(), ...accountFields })
  .meta({ id: 'PatchAccount', description: 'What is to change of an account; what is left out stays' })

export const account = z
  .object({
    id: z.string().describe('acct_…'),
    name: z.string().describe('What it is called'),
    plan: z.string().describe('The name of its plan'),
    weight: z.number().describe('Its share of the turns of a model'),
    over_limit: overLimit
      .nullable()
      .describe('What happens to predictions beyond those that may run at a time; null: as its plan says'),
    suspended: z.boolean().describe('Whether its keys are refused'),
    suspended_at: time.nullable().describe('Since when they are'),
    retention: z
      .object({
        files_days: z.number().nullable().describe('Days that its files are kept at most'),
        data_days: z.number().nullable().describe('Days that inputs, outputs and logs are kept at most'),
      })
      .describe('For how long what it makes is kept at most; null: as long as all is'),
    created_at: time.describe('When it was made'),
  })
  .meta({ id: 'Account', description: 'An account, as its operator sees it' })

export const accountList = z
  .object({ data: z.array(account).describe('Newest first'), pagination })
  .meta({ id: 'AccountList', description: 'A page of accounts' })

export const plan = z
  .object({
    name: z.string().describe('What accounts name it by'),
    settings: planSettings.describe('What accounts of the plan may do, and at what price'),
    created_at: time.describe('When it was made'),
    updated_at: time.describe('When it was changed last'),
  })
  .meta({ id: 'Plan', description: 'What the accounts that are on it may do' })

export const planList = z
  .object({ data: z.array(plan).describe('By name') })
  .meta({ id: 'PlanList', description: 'All plans' })

/** The body of `PUT /v1/admin/plans`. */
export const putPlan = z
  .object({ name: planName, settings: statedSettings.describe('All that it says from now on') })
  .meta({ id: 'PutPlan', description: 'A plan to be, or in place of the one of that name' })

/** In a path. */
export const planParams = z.object({ name: planName.describe('plan: its name') })

/** The query of `GET /v1/admin/audit`. */
export const auditQuery = pageQuery.extend({
  from: z.string().optional().describe('YYYY-MM-DD or a full time, inclusive'),
  to: z.string().optional().describe('YYYY-MM-DD or a full time, inclusive'),
  act: z.string().max(100).optional().describe('Only these acts, such as key.create'),
  account: z.string().max(100).optional().describe('Only what was done to this account, its keys and so on'),
  key: z.string().max(100).optional().describe('Only what this key did'),
  target: z.string().max(100).optional().describe('Only what was done to this, such as a key or a plan'),
})

export const auditEntry = z
  .object({
    id: z.string().describe('audit_…'),
    created_at: time.describe('When it was done'),
    by: z
      .object({
        type: z
          .enum(['key', 'cli', 'setup'])
          .describe('A key, the command line, or the start of the service itself'),
        key_id: z.string().nullable().describe('Which key'),
        key_name: z.string().nullable().describe('What the key was called'),
        account_id: z.string().nullable().describe('Whose key it is'),
        ip: z.string().nullable().describe('From where it was asked'),
      })
      .describe('Who did it'),
    request_id: z.string().nullable().describe('Finds the request in the log of the service'),
    act: z.string().describe('What was done, such as key.create'),
    target: z.string().describe('To what it was done'),
    account_id: z.string().nullable().describe('Whose that is'),
    before: z.record(z.string(), z.unknown()).nullable().describe('What of it has changed, as it was'),
    after: z.record(z.string(), z.unknown()).nullable().describe('The same, as it is since; never a secret'),
  })
  .meta({ id: 'AuditEntry', description: 'One administrative act' })

export const auditList = z
  .object({ data: z.array(auditEntry).describe('Newest first'), pagination })
  .meta({ id: 'AuditList', description: 'A page of administrative acts' })

export type Account = z.infer<typeof account>
export type CreateAccount = z.infer<typeof createAccount>
export type PatchAccount = z.infer<typeof patchAccount>
export type Plan = z.infer<typeof plan>
export type AuditEntry = z.infer<typeof auditEntry>
