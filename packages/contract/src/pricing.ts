import { z } from 'zod'

/** What a model may be priced by. */
export const units = [
  'image',
  'video',
  'second',
  'prediction',
  'gpu',
  'image_megapixel',
  'computing_second',
  'audio_second',
  'video_second',
  'token',
  'minute',
  'character',
  'request',
  'email',
  'page',
] as const

/** Units of the time that a run took. */
export const timeUnits: ReadonlySet<Unit> = new Set(['second', 'computing_second', 'gpu', 'minute'])

const amount = z.number().min(0).max(1_000_000)
const unit = z.enum(units)

/** What a model costs, as its file says it and as `/v1/models` shows it. */
export const pricing = z
  .object({
    amount: amount.describe('USD for `per` units'),
    currency: z.literal('USD').default('USD').describe('Always USD; credits are what accounts hold'),
    unit: unit.describe('What is counted'),
    per: z
      .union([z.literal(1), z.literal(1000), z.literal(1_000_000)])
      .default(1)
      .describe('How many units the amount is for'),
    input_amount: amount
      .optional()
      .describe('USD for `per` tokens of a prompt, where those have a price of their own'),
    output_amount: amount
      .optional()
      .describe('USD for `per` tokens of an answer, where those have a price of their own'),
    criterias: z
      .array(
        z.object({
          field: z.string().min(1).max(128).describe('Of the input'),
          description: z.string().max(1000).default('').describe('For people'),
          operator: z.literal('equals').default('equals').describe('How the two are compared'),
          value: z.union([z.string(), z.number(), z.boolean()]).describe('What the field must be'),
          billable_price: amount.describe('USD for `per` units in place of `amount`'),
          unit: unit.optional().describe('In place of `unit`'),
        }),
      )
      .max(100)
      .optional()
      .describe('Prices for certain inputs: the first that fits counts'),
    formula: z
      .string()
      .min(1)
      .max(500)
      .optional()
      .describe(
        'USD of the whole prediction: + - * / ( ) min max ceil floor round over numbers, amount (of one unit), units and input.name',
      ),
    estimate: z
      .number()
      .positive()
      .max(1_000_000_000)
      .optional()
      .describe('Units that are held for one prediction where its input does not tell'),
    charged_when: z
      .array(z.enum(['run_timeout', 'cancelled']))
      .optional()
      .describe('Endings beside success at which the time used is charged'),
  })
  .meta({ id: 'Pricing', description: 'What a model costs' })

export type Unit = (typeof units)[number]
export type Pricing = z.infer<typeof pricing>
