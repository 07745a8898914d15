import { z } from 'zod'

const count = z.int().min(0).max(1_000_000_000)

const rates = {
  requests: count.optional().describe('Requests in a window'),
  window: z.int().min(1).max(86_400).optional().describe('Seconds of the window; 60 unless told otherwise'),
  tokens_in: count.optional().describe('Tokens of prompts in a window'),
  tokens_out: count.optional().describe('Tokens of answers in a window'),
}

/** Groups of routes that may have rates of their own. */
export const rateFamilies = ['predictions', 'inference', 'files', 'management'] as const

/** What an account, or one of its keys, may do in a time or at a time. What is not there has no limit. */
export const limits = z
  .object({
    ...rates,
    running: count.optional().describe('Predictions that run at a time; the others wait'),
    max_waiting: count.optional().describe('Predictions that wait at a time; more are refused'),
    families: z
      .partialRecord(z.enum(rateFamilies), z.object(rates).describe('Rates of this group'))
      .optional()
      .describe('Rates of groups of routes, on top of those of all'),
    models: z
      .record(
        z.string().min(1).max(256),
        z
          .object({ ...rates, running: count.optional().describe('Of its predictions that run at a time') })
          .describe('Rates of these models'),
      )
      .optional()
      .describe('Rates of models, by slugs or globs such as `vendor/*`, on top of those of all'),
  })
  .meta({ id: 'Limits', description: 'What may be done in a time or at a time' })

/**
 * Which models may be used: `*` stands for any characters. What is denied is so even where it is allowed. The words
 * `service:partner` and `service:native` stand for all models whose `service.type` is that.
 */
export const modelRules = z
  .object({
    allow: z
      .array(z.string().min(1).max(256))
      .max(1000)
      .optional()
      .describe(
        'Only these, by slugs or globs, or `service:native` for all that run on this installation; without it, all',
      ),
    deny: z
      .array(z.string().min(1).max(256))
      .max(1000)
      .optional()
      .describe('None of these; `service:partner` stands for all whose input leaves this installation'),
  })
  .meta({ id: 'ModelRules', description: 'Which models may be used' })

/** What happens to a prediction beyond `running`: it waits its turn, or is refused. */
export const overLimit = z.enum(['queue', 'refuse'])

/** What a plan says; all of it may be left out. */
export const planSettings = z
  .object({
    price_multiplier: z
      .number()
      .min(0)
      .max(1000)
      .optional()
      .describe('Times the price of each model; 1 unless told'),
    models: modelRules.optional(),
    limits: limits.optional(),
    over_limit: overLimit
      .optional()
      .describe('What happens to predictions beyond `running`; `queue` unless told'),
  })
  .meta({ id: 'PlanSettings', description: 'What accounts of a plan may do, and at what price' })

/** As requests state them: what is misspelt would not be limited, and is refused. What is stored may be of a later version. */
export const statedLimits = limits.strict()
export const statedRules = modelRules.strict()
export const statedSettings = planSettings
  .extend({
    models: statedRules.optional().describe('Which models its accounts may use'),
    limits: statedLimits.optional().describe('What its accounts may do in a time or at a time'),
  })
  .strict()

/** What a stored plan says, as far as this version knows it: a later one may have more groups of routes. */
export function readSettings(stored: unknown): PlanSettings {
  const { limits: stated, ...rest } = (stored ?? {}) as { limits?: { families?: Record<string, unknown> } }
  if (!stated?.families) return planSettings.parse(stored)
  const known = Object.entries(stated.families).filter(([name]) => rateFamilies.some((one) => one === name))
  return planSettings.parse({ ...rest, limits: { ...stated, families: Object.fromEntries(known) } })
}

export type Limits = z.infer<typeof limits>
export type ModelRules = z.infer<typeof modelRules>
export type OverLimit = z.infer<typeof overLimit>
export type PlanSettings = z.infer<typeof planSettings>
export type RateFamily = (typeof rateFamilies)[number]
